package io.engram4j.model;

import java.util.Arrays;

/**
 * Where the rows of one Engram layer lie and how ids become row ids: a prime and an offset per
 * column, a multiplier per look-back step (docs/spec.md, sections 3 to 5). Columns are ordered by
 * n-gram order, then head. Immutable and thread-safe.
 */
public final class LayerLayout {
  private final int layerId;
  private final int maxNgram;
  private final int headsPerNgram;
  private final long[] primes;
  private final long[] offsets;
  private final long[] multipliers;
  private final long rows;

  private LayerLayout(
      int layerId,
      int maxNgram,
      int headsPerNgram,
      long[] primes,
      long[] offsets,
      long[] multipliers) {
    this.layerId = layerId;
    this.maxNgram = maxNgram;
    this.headsPerNgram = headsPerNgram;
    this.primes = primes;
    this.offsets = offsets;
    this.multipliers = multipliers;
    long end = 0;
    for (int column = 0; column < primes.length; column++) {
      end = Math.max(end, Math.addExact(offsets[column], primes[column]));
    }
    this.rows = end;
  }

  /** A layout whose columns follow each other. */
  LayerLayout(int layerId, int maxNgram, int headsPerNgram, long[] primes, long[] multipliers) {
    this(layerId, maxNgram, headsPerNgram, primes.clone(), running(primes), multipliers.clone());
  }

  private static long[] running(long[] primes) {
    long[] offsets = new long[primes.length];
    long sum = 0;
    for (int column = 0; column < primes.length; column++) {
      offsets[column] = sum;
      sum = Math.addExact(sum, primes[column]);
    }
    return offsets;
  }

  /**
   * A layout of numbers that a file gives.
   *
   * @param sizes rows of each column, by n-gram order, then head; copied
   * @param offsets the first row of each column; copied
   * @param multipliers one per look-back step, the current token's first; copied
   * @throws IllegalArgumentException if a length does not fit, a column has no rows or an offset is
   *     negative
   */
  public static LayerLayout of(
      int layerId,
      int maxNgram,
      int headsPerNgram,
      long[] sizes,
      long[] offsets,
      long[] multipliers) {
    int columns = Math.multiplyExact(maxNgram - 1, headsPerNgram);
    String layer = "layer " + layerId + " has ";
    if (sizes.length != columns || offsets.length != columns) {
      throw new IllegalArgumentException(
          layer
              + sizes.length
              + " sizes and "
              + offsets.length
              + " offsets of heads, not "
              + columns);
    }
    if (multipliers.length != maxNgram) {
      throw new IllegalArgumentException(
          layer + multipliers.length + " multipliers, not " + maxNgram);
    }
    for (int column = 0; column < columns; column++) {
      if (sizes[column] < 1
          || offsets[column] < 0
          || offsets[column] > (1L << 62) - sizes[column]) {
        throw new IllegalArgumentException(
            layer
                + "a head of "
                + sizes[column]
                + " rows from "
                + offsets[column]
                + " on, which is impossible");
      }
    }
    return new LayerLayout(
        layerId, maxNgram, headsPerNgram, sizes.clone(), offsets.clone(), multipliers.clone());
  }

  /** Returns the model layer this belongs to, 0-based. */
  public int layerId() {
    return layerId;
  }

  /** Returns the longest n-gram; the orders are 2 to this. */
  public int maxNgram() {
    return maxNgram;
  }

  /** Returns the number of heads, that is of tables, per n-gram order. */
  public int headsPerNgram() {
    return headsPerNgram;
  }

  /** Returns the number of rows that a token reads. */
  public int columns() {
    return primes.length;
  }

  /** Returns the n-gram order of a column. */
  public int order(int column) {
    return 2 + column / headsPerNgram;
  }

  /** Returns the number of rows of a column's table, a prime. */
  public long prime(int column) {
    return primes[column];
  }

  /** Returns the first row of a column's table. */
  public long offset(int column) {
    return offsets[column];
  }

  /** Returns the factor of the id {@code shift} positions back, 0 for the current one. */
  public long multiplier(int shift) {
    return multipliers[shift];
  }

  /** Returns the number of rows that columns reach: all of them together, if there are no gaps. */
  public long rows() {
    return rows;
  }

  /** Returns whether all that {@link #of} takes is the same. */
  public boolean sameNumbers(LayerLayout other) {
    return layerId == other.layerId
        && maxNgram == other.maxNgram
        && headsPerNgram == other.headsPerNgram
        && Arrays.equals(primes, other.primes)
        && Arrays.equals(offsets, other.offsets)
        && Arrays.equals(multipliers, other.multipliers);
  }

  @Override
  public String toString() {
    return "layer "
        + layerId
        + ": multipliers "
        + Arrays.toString(multipliers)
        + ", sizes "
        + Arrays.toString(primes)
        + ", offsets "
        + Arrays.toString(offsets);
  }
}
