package io.engram4j.model;

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

  LayerLayout(int layerId, int maxNgram, int headsPerNgram, long[] primes, long[] multipliers) {
    this.layerId = layerId;
    this.maxNgram = maxNgram;
    this.headsPerNgram = headsPerNgram;
    this.primes = primes.clone();
    this.multipliers = multipliers.clone();
    this.offsets = new long[primes.length];
    long sum = 0;
    for (int column = 0; column < primes.length; column++) {
      offsets[column] = sum;
      sum = Math.addExact(sum, primes[column]);
    }
    this.rows = sum;
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

  /** Returns the number of rows of all columns together. */
  public long rows() {
    return rows;
  }
}
