package io.engram4j.model;

/**
 * How a family of models turns ids into row ids (docs/spec.md, sections 3 to 5): where the
 * multipliers come from. One entry per way. What all have in common is in {@link EngramLayout}.
 */
public enum RowHashing {
  /** NumPy's draw for a seed and a layer; odd, and so small that no product of an id overflows. */
  NUMPY_DRAW {
    private static final long SEED_STEP = 10007;

    @Override
    public long[] multipliers(int layerId, int shifts, int distinctIds, long seed) {
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
  };

  /**
   * Returns the hash multipliers of a layer, one per look-back step.
   *
   * @param shifts how many, the longest n-gram
   * @param distinctIds the number of ids that are hashed; it feeds every multiplier
   * @throws IllegalArgumentException if a number lies outside of what this way covers
   */
  public abstract long[] multipliers(int layerId, int shifts, int distinctIds, long seed);
}
