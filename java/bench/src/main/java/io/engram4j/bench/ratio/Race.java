package io.engram4j.bench.ratio;

import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Contenders that take turns, round by round, so that a noisy machine is noisy for all. Each is
 * warmed up and then repeated within a round until it takes two milliseconds or more.
 */
final class Race {
  private static final long LEAST_NANOS = 2_000_000;
  private static final long WARM_NANOS = 600_000_000;
  private static final long MOST_WARM_NANOS = 8_000_000_000L;
  private static final int WARM_UNITS = 20_000;

  /** So long without the compiler: the Vector API often was still not compiled after 0.6 s. */
  private static final long QUIET_NANOS = 1_000_000_000;

  private final int rounds;
  private final List<Contender> contenders = new ArrayList<>();

  private static final class Contender {
    final String name;
    final double units;
    final Runnable prepare;
    final Runnable body;
    int repeats = 1;

    Contender(String name, double units, Runnable prepare, Runnable body) {
      this.name = name;
      this.units = units;
      this.prepare = prepare;
      this.body = body;
    }

    double nanos() {
      prepare.run();
      long start = System.nanoTime();
      for (int i = 0; i < repeats; i++) {
        body.run();
      }
      return System.nanoTime() - start;
    }
  }

  Race(int rounds) {
    this.rounds = rounds;
  }

  /**
   * Adds a contender.
   *
   * @param units of work in a run of the body; times are told per unit
   * @param prepare runs before each round, outside of the time
   */
  Race add(String name, double units, Runnable prepare, Runnable body) {
    contenders.add(new Contender(name, units, prepare, body));
    return this;
  }

  Race add(String name, double units, Runnable body) {
    return add(name, units, () -> {}, body);
  }

  /** Runs all rounds. */
  Times run() {
    Map<String, double[]> times = new LinkedHashMap<>();
    for (Contender contender : contenders) {
      warm(contender);
      times.put(contender.name, new double[rounds]);
    }
    for (int round = 0; round < rounds; round++) {
      for (Contender contender : contenders) {
        double[] own = times.get(contender.name);
        if (own != null) {
          own[round] = contender.nanos() / contender.repeats / contender.units;
        }
      }
    }
    return new Times(times);
  }

  /**
   * Until it is compiled, and its repeats are known. Calls count, not only time: the Vector API is
   * a thousand times slower until its methods are compiled.
   */
  private static void warm(Contender contender) {
    long start = System.nanoTime();
    long now;
    long quiet = start;
    long compiled = 0;
    double units = 0;
    do {
      double nanos = contender.nanos();
      units += contender.repeats * contender.units;
      if (nanos < LEAST_NANOS) {
        contender.repeats *= 2;
      }
      now = System.nanoTime();
      long millis = ManagementFactory.getCompilationMXBean().getTotalCompilationTime();
      if (millis != compiled) {
        compiled = millis;
        quiet = now;
      }
    } while (now - start < WARM_NANOS
        || (now - start < MOST_WARM_NANOS && (units < WARM_UNITS || now - quiet < QUIET_NANOS)));
    contender.repeats = 1; // those of code that was not compiled yet do not count
    while (contender.nanos() < LEAST_NANOS) {
      contender.repeats *= 2;
    }
  }

  /** Nanoseconds a unit, per contender and round. */
  record Times(Map<String, double[]> nanos) {
    double median(String name) {
      return median(of(name));
    }

    double[] of(String name) {
      double[] own = nanos.get(name);
      if (own == null) {
        throw new IllegalArgumentException("no contender " + name + " in " + nanos.keySet());
      }
      return own;
    }

    /** Returns per round how many times faster one is than another. */
    double[] faster(String name, String than) {
      double[] ratios = of(than).clone();
      for (int i = 0; i < ratios.length; i++) {
        ratios[i] /= of(name)[i];
      }
      return ratios;
    }

    static double median(double[] values) {
      double[] sorted = values.clone();
      Arrays.sort(sorted);
      return sorted[sorted.length / 2];
    }
  }
}
