package io.engram4j.model;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.IntStream;

/**
 * The layouts of all Engram layers of a model. Layers share one pool of primes, so they are made
 * together.
 */
public final class EngramLayout {
  private EngramLayout() {}

  /**
   * Computes the layout of every layer in the order of the configuration, or returns those that it
   * has.
   *
   * @param compressedSize the number of distinct compressed ids; it feeds every multiplier
   * @throws IllegalArgumentException if the size or the configuration lies outside what NumPy's
   *     64-bit draw covers
   */
  public static List<LayerLayout> of(EngramConfig config, int compressedSize) {
    if (!config.layouts().isEmpty()) {
      return config.layouts();
    }
    List<long[]> primes = primes(config);
    List<LayerLayout> layouts = new ArrayList<>();
    for (int i = 0; i < config.layerIds().size(); i++) {
      int layerId = config.layerIds().get(i);
      long[] multipliers =
          config
              .hashing()
              .multipliers(layerId, i, config.maxNgram(), compressedSize, config.seed());
      layouts.add(
          new LayerLayout(
              layerId, config.maxNgram(), config.headsPerNgram(), primes.get(i), multipliers));
    }
    return List.copyOf(layouts);
  }

  /** Returns the table sizes per layer and column; needs no token map. */
  public static List<long[]> primes(EngramConfig config) {
    if (!config.layouts().isEmpty()) {
      return config.layouts().stream()
          .map(layout -> IntStream.range(0, layout.columns()).mapToLong(layout::prime).toArray())
          .toList();
    }
    Set<Long> seen = new HashSet<>();
    // The search restarts at the same place for every order and skips what was taken. From where it
    // started to its last find all primes are taken: there it may as well go on, and so may
    // searches
    // that start in between.
    NavigableMap<Long, Long> taken = new TreeMap<>();
    List<long[]> all = new ArrayList<>();
    for (int layer = 0; layer < config.layerIds().size(); layer++) {
      long[] primes = new long[config.columns()];
      for (int column = 0; column < primes.length; column++) {
        long start = config.vocabSizes().get(column / config.headsPerNgram());
        long prime = start - 1;
        do {
          prime = Primes.after(behind(taken, prime));
        } while (!seen.add(prime));
        taken.put(start, prime);
        primes[column] = prime;
      }
      all.add(primes);
    }
    return all;
  }

  /** Returns the last prime of the ranges that a place is in, or the place. */
  private static long behind(NavigableMap<Long, Long> taken, long place) {
    long at = place;
    while (true) {
      Map.Entry<Long, Long> range = taken.floorEntry(at + 1);
      if (range == null || range.getValue() <= at) {
        return at;
      }
      at = range.getValue();
    }
  }
}
