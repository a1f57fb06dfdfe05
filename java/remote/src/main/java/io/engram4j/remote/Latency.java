package io.engram4j.remote;

/**
 * How long requests took lately, in buckets of a quarter octave; older ones count half as much
 * after each thousand. Thread-safe.
 */
final class Latency {
  private static final int PER_OCTAVE = 4;
  private static final int BUCKETS = 34 * PER_OCTAVE; // to 16 s
  private static final int HALVE = 1024;

  private final int[] counts = new int[BUCKETS];
  private int total;

  synchronized void add(long nanos) {
    counts[bucket(Math.max(1, nanos))]++;
    if (++total >= HALVE) {
      total = 0;
      for (int i = 0; i < BUCKETS; i++) {
        counts[i] /= 2;
        total += counts[i];
      }
    }
  }

  private static int bucket(long nanos) {
    int octave = 63 - Long.numberOfLeadingZeros(nanos);
    long rest = nanos - (1L << octave);
    int quarter = (int) ((rest * PER_OCTAVE) >>> octave);
    return Math.min(BUCKETS - 1, (octave * PER_OCTAVE) + quarter);
  }

  /** Returns the time that a share of the requests stayed below, 0 if there were none. */
  synchronized long quantile(double share) {
    if (total == 0) {
      return 0;
    }
    long below = (long) Math.ceil(share * total);
    long seen = 0;
    for (int i = 0; i < BUCKETS; i++) {
      seen += counts[i];
      if (seen >= below) {
        long octave = 1L << (i / PER_OCTAVE);
        return octave + octave * (i % PER_OCTAVE + 1) / PER_OCTAVE;
      }
    }
    return Long.MAX_VALUE;
  }
}
