package io.engram4j.train.kernel;

import java.util.Arrays;

/** Plain Java. */
final class PlainLanes implements Lanes {
  static final float LOG2_E = 0x1.715476p0f;
  static final float LN2_HIGH = 0x1.63p-1f; // of few bits, so that n times it is exact
  static final float LN2_LOW = -0x1.bd0106p-13f;
  static final float LEAST = -87f;
  static final float MAGIC = 0x1.8p23f; // added and taken away, it rounds to a whole number
  // 1/k!, for |r| below ln 2 / 2: the first term left out is 1e-8 of the sum
  static final float T2 = 1f / 2;
  static final float T3 = 1f / 6;
  static final float T4 = 1f / 24;
  static final float T5 = 1f / 120;
  static final float T6 = 1f / 720;
  static final float T7 = 1f / 5040;

  private static final int COLUMNS = 16;

  @Override
  public int columns() {
    return COLUMNS;
  }

  @Override
  public void tile(
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
      boolean add) {
    for (int i = 0; i < ROWS; i++) {
      int row = cAt + i * cStride;
      if (!add) {
        Arrays.fill(c, row, row + COLUMNS, 0f);
      }
      int from = aAt + i * rowStride;
      for (int p = 0; p < k; p++, from += stepStride) {
        float x = a[from];
        int line = bAt + p * COLUMNS;
        for (int j = 0; j < COLUMNS; j++) {
          c[row + j] = Math.fma(x, b[line + j], c[row + j]);
        }
      }
    }
  }

  @Override
  public float max(float[] x, int at, int count) {
    float most = x[at];
    for (int i = 1; i < count; i++) {
      most = Math.max(most, x[at + i]);
    }
    return most;
  }

  @Override
  public void exp(float[] x, int at, int count, float shift) {
    for (int i = at; i < at + count; i++) {
      x[i] = exp(x[i] - shift);
    }
  }

  /** Returns e to the power of a number up to 0; 0 below {@value #LEAST}. */
  static float exp(float x) {
    if (!(x >= LEAST)) {
      return x < LEAST ? 0 : x; // a NaN stays
    }
    float n = Math.fma(x, LOG2_E, MAGIC) - MAGIC;
    float r = Math.fma(n, -LN2_LOW, Math.fma(n, -LN2_HIGH, x));
    float sum = Math.fma(T7, r, T6);
    sum = Math.fma(sum, r, T5);
    sum = Math.fma(sum, r, T4);
    sum = Math.fma(sum, r, T3);
    sum = Math.fma(sum, r, T2);
    sum = Math.fma(sum, r, 1);
    sum = Math.fma(sum, r, 1);
    return sum * Float.intBitsToFloat(((int) n + 127) << 23);
  }

  @Override
  public void combine(
      float[] x,
      int at,
      int stride,
      int count,
      float[] weights,
      int weight,
      int weightStride,
      float[] y,
      int yAt,
      int width) {
    for (int i = 0; i < width; i++) {
      y[yAt + i] = weights[weight] * x[at + i];
    }
    for (int g = 1; g < count; g++) {
      addScaled(weights[weight + g * weightStride], x, at + g * stride, y, yAt, width);
    }
  }

  @Override
  public void addScaled(float factor, float[] x, int at, float[] y, int yAt, int width) {
    for (int i = 0; i < width; i++) {
      y[yAt + i] = Math.fma(factor, x[at + i], y[yAt + i]);
    }
  }

  @Override
  public void addProducts(float[] a, int aAt, float[] b, int bAt, float[] y, int yAt, int width) {
    for (int i = 0; i < width; i++) {
      y[yAt + i] = Math.fma(a[aAt + i], b[bAt + i], y[yAt + i]);
    }
  }
}
