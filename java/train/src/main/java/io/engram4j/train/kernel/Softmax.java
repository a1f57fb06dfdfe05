package io.engram4j.train.kernel;

/** Softmax of a run of numbers; the exponentials are those of {@link Lanes}. */
public final class Softmax {
  private Softmax() {}

  /**
   * Makes numbers probabilities, in place.
   *
   * @return the logarithm of the sum of their exponentials
   */
  public static double run(float[] x, int at, int count) {
    float most = Lanes.BEST.max(x, at, count);
    Lanes.BEST.exp(x, at, count, most);
    double sum = sum(x, at, count);
    float scale = (float) (1 / sum);
    for (int i = at; i < at + count; i++) {
      x[i] *= scale;
    }
    return most + StrictMath.log(sum);
  }

  /** Four sums, for one waits four cycles for each addition. */
  private static double sum(float[] x, int at, int count) {
    double s0 = 0;
    double s1 = 0;
    double s2 = 0;
    double s3 = 0;
    int i = at;
    for (int end = at + count - 3; i < end; i += 4) {
      s0 += x[i];
      s1 += x[i + 1];
      s2 += x[i + 2];
      s3 += x[i + 3];
    }
    for (; i < at + count; i++) {
      s0 += x[i];
    }
    return (s0 + s1) + (s2 + s3);
  }
}
