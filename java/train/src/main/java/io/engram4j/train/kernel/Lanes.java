package io.engram4j.train.kernel;

/**
 * The loops that carry a step's time, by plain Java or by the Vector API. Both give the same bits:
 * a sum goes on in one lane in ascending order, by fused multiply-adds.
 */
interface Lanes {
  /** The fastest that runs here. */
  Lanes BEST = best();

  /** Rows of a tile. */
  int ROWS = 6;

  private static Lanes best() {
    boolean there = ModuleLayer.boot().findModule("jdk.incubator.vector").isPresent();
    return there ? VectorLanes.create() : new PlainLanes();
  }

  /** Returns the columns of a tile. */
  int columns();

  /**
   * Multiplies into a tile of {@value #ROWS} rows.
   *
   * @param a element (i, p) lies at {@code aAt + i * rowStride + p * stepStride}
   * @param b [k, columns], one after the other, from {@code bAt}
   * @param c the tile, with rows {@code cStride} apart, written
   * @param add whether what the tile holds counts
   */
  void tile(
      float[] a,
      int aAt,
      int rowStride,
      int stepStride,
      float[] b,
      int bAt,
      int k,
      float[] c,
      int cAt,
      int cStride,
      boolean add);

  /** Returns the largest of some numbers, of at least one. */
  float max(float[] x, int at, int count);

  /**
   * Replaces each number x by exp(x - shift), within 2e-7 of itself; what is below -87 gives 0.
   *
   * @param shift at least the largest of them
   */
  void exp(float[] x, int at, int count, float shift);

  /**
   * Computes y = sum of weight * x over some vectors, in their order.
   *
   * @param x vectors {@code stride} apart, from {@code at}
   * @param count how many, at least one
   * @param weights {@code weightStride} apart, from {@code weight}
   * @param width of a vector
   */
  void combine(
      float[] x,
      int at,
      int stride,
      int count,
      float[] weights,
      int weight,
      int weightStride,
      float[] y,
      int yAt,
      int width);

  /** Adds factor * x to y. */
  void addScaled(float factor, float[] x, int at, float[] y, int yAt, int width);

  /** Adds a * b, element by element, to y. */
  void addProducts(float[] a, int aAt, float[] b, int bAt, float[] y, int yAt, int width);
}
