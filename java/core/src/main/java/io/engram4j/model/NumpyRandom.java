package io.engram4j.model;

/**
 * The 64-bit draws of NumPy's {@code default_rng(seed)}: SeedSequence feeding PCG64 (XSL-RR
 * 128/64), and Lemire's bounded draw as {@code Generator.integers} does it (docs/spec.md, section
 * 3). Bit for bit NumPy's, since every row id depends on it. Not thread-safe.
 */
final class NumpyRandom {
  private static final int POOL = 4;
  private static final long PCG_MULTIPLIER_HIGH = 0x2360ed051fc65da4L;
  private static final long PCG_MULTIPLIER_LOW = 0x4385df649fccf645L;

  private long stateHigh;
  private long stateLow;
  private final long incrementHigh;
  private final long incrementLow;

  /**
   * Seeds the generator.
   *
   * @throws IllegalArgumentException if the seed is negative, as NumPy refuses those
   */
  public NumpyRandom(long seed) {
    if (seed < 0) {
      throw new IllegalArgumentException("seed " + seed + " is negative");
    }
    long[] words = generateState(seedPool(seed));
    incrementHigh = words[2] << 1 | words[3] >>> 63;
    incrementLow = words[3] << 1 | 1;
    step();
    long low = stateLow + words[1];
    stateHigh += words[0] + (Long.compareUnsigned(low, stateLow) < 0 ? 1 : 0);
    stateLow = low;
    step();
  }

  private static int[] seedPool(long seed) {
    int[] pool = new int[POOL];
    int constant = 0x43b0d7e5;
    int[] entropy = {(int) seed, (int) (seed >>> 32)};
    for (int i = 0; i < POOL; i++) {
      // a seed below 2^32 is one word; its missing second word and a zero word mix alike
      pool[i] = hashMix(i < entropy.length ? entropy[i] : 0, constant);
      constant *= 0x931e8875;
    }
    for (int source = 0; source < POOL; source++) {
      for (int target = 0; target < POOL; target++) {
        if (source != target) {
          pool[target] = mix(pool[target], hashMix(pool[source], constant));
          constant *= 0x931e8875;
        }
      }
    }
    return pool;
  }

  private static int hashMix(int value, int constant) {
    int mixed = (value ^ constant) * (constant * 0x931e8875);
    return mixed ^ mixed >>> 16;
  }

  private static int mix(int x, int y) {
    int mixed = 0xca01f9dd * x - 0x4973f715 * y;
    return mixed ^ mixed >>> 16;
  }

  private static long[] generateState(int[] pool) {
    long[] words = new long[POOL];
    int constant = 0x8b51f9dd;
    for (int i = 0; i < 2 * POOL; i++) {
      int value = pool[i % POOL] ^ constant;
      constant *= 0x58f38ded;
      value *= constant;
      value ^= value >>> 16;
      words[i / 2] |= (value & 0xffffffffL) << (32 * (i % 2));
    }
    return words;
  }

  private void step() {
    long low = stateLow * PCG_MULTIPLIER_LOW;
    long high =
        Math.unsignedMultiplyHigh(stateLow, PCG_MULTIPLIER_LOW)
            + stateHigh * PCG_MULTIPLIER_LOW
            + stateLow * PCG_MULTIPLIER_HIGH;
    stateLow = low + incrementLow;
    stateHigh = high + incrementHigh + (Long.compareUnsigned(stateLow, low) < 0 ? 1 : 0);
  }

  /** Returns the next 64 random bits. */
  public long nextLong() {
    step();
    return Long.rotateRight(stateHigh ^ stateLow, (int) (stateHigh >>> 58));
  }

  /**
   * Returns a draw from [0, bound), as {@code integers(0, bound)} of dtype int64 does.
   *
   * @throws IllegalArgumentException if {@code bound} is not 1 and not above 2^32: NumPy takes
   *     another path there (a buffered 32-bit draw), which no Engram model needs
   */
  public long below(long bound) {
    if (bound == 1) {
      return 0;
    }
    if (bound <= 1L << 32) {
      throw new IllegalArgumentException(
          "bound " + bound + " is not above 2^32: NumPy's 32-bit draw is not supported");
    }
    long random = nextLong();
    long low = random * bound;
    if (Long.compareUnsigned(low, bound) < 0) {
      long threshold = Long.remainderUnsigned(-bound, bound);
      while (Long.compareUnsigned(low, threshold) < 0) {
        random = nextLong();
        low = random * bound;
      }
    }
    return Math.unsignedMultiplyHigh(random, bound);
  }
}
