package io.engram4j.bench.ratio;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Contenders that take turns, round by round, so that a noisy machine is noisy for all. Each is
 * warmed up and then repeated within a round until it takes a millisecond or more.
 */
final class Race {
  private static final long LEAST_NANOS = 2_000_000;
  private static final long WARM_NANOS = 150_000_000;

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

  /** Until it is compiled, and its repeats are known. */
  private static void warm(Contender contender) {
    long end = System.nanoTime() + WARM_NANOS;
    double nanos;
    do {
      nanos = contender.nanos();
      if (nanos < LEAST_NANOS) {
        contender.repeats *= 2;
      }
    } while (System.nanoTime() < end || nanos < LEAST_NANOS);
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
