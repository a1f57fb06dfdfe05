package io.engram4j.model;

/**
 * How a family of models turns ids into row ids (docs/spec.md, sections 3 to 5): where the
 * multipliers come from. One entry per way. What all have in common is in {@link EngramLayout}.
 */
public enum RowHashing {
  /** NumPy's draw for a seed and a layer; odd, and so small that no product of an id overflows. */
  NUMPY_DRAW {
    @Override
    public long[] multipliers(int layerId, int index, int shifts, int distinctIds, long seed) {
      if (distinctIds < 1 || distinctIds >= 1 << 30) {
        throw new IllegalArgumentException(
            "compressed vocabulary size " + distinctIds + " is not between 1 and 2^30 - 1");
      }
      long bound = Math.max(1, Long.MAX_VALUE / distinctIds / 2);
      NumpyRandom random =
          new NumpyRandom(Math.addExact(seed, Math.multiplyExact(SEED_STEP, (long) layerId)));
      long[] multipliers = new long[shifts];
      for (int shift = 0; shift < shifts; shift++) {
        multipliers[shift] = 2 * random.below(bound) + 1;
      }
      return multipliers;
    }
  },

  /** Qwen's: splitmix64 of a seed and of the layer's place among those that have tables. */
  SPLITMIX64 {
    private static final long GOLDEN = 0x9e3779b97f4a7c15L;

    @Override
    public long[] multipliers(int layerId, int index, int shifts, int distinctIds, long seed) {
      if (distinctIds < 1) {
        throw new IllegalArgumentException("a vocabulary of " + distinctIds + " ids is impossible");
      }
      long bound = Math.max(1, Long.MAX_VALUE / distinctIds / 2);
      long first = seed + SEED_STEP * index;
      long[] multipliers = new long[shifts];
      for (int shift = 0; shift < shifts; shift++) {
        long mixed = splitmix64(first + GOLDEN * (shift + 1));
        multipliers[shift] = 2 * Long.remainderUnsigned(mixed, bound) + 1;
      }
      return multipliers;
    }

    private static long splitmix64(long state) {
      long x = state + GOLDEN;
      x = (x ^ x >>> 30) * 0xbf58476d1ce4e5b9L;
      x = (x ^ x >>> 27) * 0x94d049bb133111ebL;
      return x ^ x >>> 31;
    }
  };

  /** How far the seeds of layers lie apart. */
  private static final long SEED_STEP = 10007;

  /**
   * Returns the hash multipliers of a layer, one per look-back step.
   *
   * @param layerId the layer, counted from 0
   * @param index its place among the layers that have tables
   * @param shifts how many, the longest n-gram
   * @param distinctIds the number of ids that are hashed; it feeds every multiplier
   * @throws IllegalArgumentException if a number lies outside of what this way covers
   */
  public abstract long[] multipliers(
      int layerId, int index, int shifts, int distinctIds, long seed);
}
