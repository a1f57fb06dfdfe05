package io.engram4j.bench.ratio;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** What was found: ratios with their floors and goals, and the times behind them. */
final class Report {
  /**
   * A ratio of the project's list.
   *
   * @param atLeast the floor; for slowdowns and shares the most that is allowed
   * @param lessIsBetter whether it is such
   */
  record Ratio(
      String key,
      String what,
      double median,
      double least,
      double most,
      double atLeast,
      double goal,
      boolean lessIsBetter) {
    boolean holds() {
      return lessIsBetter ? median <= atLeast : median >= atLeast;
    }

    boolean reachesGoal() {
      return lessIsBetter ? median <= goal : median >= goal;
    }
  }

  /** A time, per unit. */
  record Time(String name, String unit, double nanos, double least, double most) {}

  final Map<String, String> machine = new LinkedHashMap<>();
  final List<Ratio> ratios = new ArrayList<>();
  final List<Time> times = new ArrayList<>();
  final List<String> left = new ArrayList<>();

  /** Adds a ratio that should be large, from its value in each round. */
  void atLeast(String key, String what, double[] rounds, double floor, double goal) {
    add(key, what, rounds, floor, goal, false);
  }

  /** Adds a ratio that should be small. */
  void atMost(String key, String what, double[] rounds, double most, double goal) {
    add(key, what, rounds, most, goal, true);
  }

  private void add(
      String key, String what, double[] rounds, double floor, double goal, boolean less) {
    double least = Arrays.stream(rounds).min().orElseThrow();
    double most = Arrays.stream(rounds).max().orElseThrow();
    Ratio ratio = new Ratio(key, what, Race.Times.median(rounds), least, most, floor, goal, less);
    ratios.add(ratio);
    System.err.printf(Locale.ROOT, "  %-22s %.3f%n", key, ratio.median());
  }

  /** Adds all times of a race under a heading. */
  void times(String heading, String unit, Race.Times race) {
    race.nanos()
        .forEach((name, rounds) -> {
          double least = Arrays.stream(rounds).min().orElseThrow();
          double most = Arrays.stream(rounds).max().orElseThrow();
          double median = Race.Times.median(rounds);
          times.add(new Time(heading + ", " + name, unit, median, least, most));
        });
  }

  /** Notes what could not be measured, and why. */
  void leave(String what) {
    left.add(what);
    System.err.println("  not measured: " + what);
  }

  /** Prints both tables in Markdown, as docs/performance.md has them. */
  void print() {
    System.out.println();
    machine.forEach((name, value) -> System.out.println(name + ": " + value));
    System.out.printf(
        "%n| what | key | measured | at least | goal | |%n|---|---|---|---|---|---|%n");
    for (Ratio r : ratios) {
      String sign = r.lessIsBetter() ? "≤ " : "";
      System.out.printf(
          Locale.ROOT,
          "| %s | `%s` | %s (%s to %s) | %s%s | %s%s | %s |%n",
          r.what(),
          r.key(),
          number(r.median()),
          number(r.least()),
          number(r.most()),
          sign,
          number(r.atLeast()),
          sign,
          number(r.goal()),
          r.reachesGoal() ? "goal" : r.holds() ? "yes" : "**no**");
    }
    System.out.printf("%n| time | | median | least | most |%n|---|---|---|---|---|%n");
    for (Time t : times) {
      double scale = t.nanos() >= 1e6 ? 1e6 : t.nanos() >= 1e3 ? 1e3 : 1;
      String unit = scale == 1e6 ? "ms" : scale == 1e3 ? "us" : "ns";
      System.out.printf(
          Locale.ROOT,
          "| %s | %s/%s | %s | %s | %s |%n",
          t.name(),
          unit,
          t.unit(),
          number(t.nanos() / scale),
          number(t.least() / scale),
          number(t.most() / scale));
    }
    left.forEach(what -> System.out.println("\nNot measured: " + what));
  }

  private static String number(double value) {
    return String.format(Locale.ROOT, value >= 100 ? "%.0f" : value >= 10 ? "%.1f" : "%.2f", value);
  }
}
