package io.engram4j.train.kernel;

/** Sums over residual streams, element by element, by fused multiply-adds. */
public final class StreamSums {
  private StreamSums() {}

  /**
   * Computes y = sum of weight * x over streams, in their order.
   *
   * @param x streams one after the other, from {@code at}
   * @param count how many, at least one
   * @param weights {@code weightStride} apart, from {@code weight}
   * @param width of a stream
   */
  public static void combine(
      float[] x,
      int at,
      int count,
      float[] weights,
      int weight,
      int weightStride,
      float[] y,
      int yAt,
      int width) {
    Lanes.BEST.combine(x, at, width, count, weights, weight, weightStride, y, yAt, width);
  }

  /** Adds factor * x to y. */
  public static void addScaled(float factor, float[] x, int at, float[] y, int yAt, int width) {
    Lanes.BEST.addScaled(factor, x, at, y, yAt, width);
  }

  /** Adds a * b, element by element, to y. */
  public static void addProducts(
      float[] a, int aAt, float[] b, int bAt, float[] y, int yAt, int width) {
    Lanes.BEST.addProducts(a, aAt, b, bAt, y, yAt, width);
  }
}
