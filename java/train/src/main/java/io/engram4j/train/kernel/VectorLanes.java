package io.engram4j.train.kernel;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/** The Vector API. */
final class VectorLanes implements Lanes {
  private static final VectorSpecies<Float> F = FloatVector.SPECIES_PREFERRED;
  private static final int LANES = F.length();
  private static final int ONE = Float.floatToRawIntBits(1f);

  private VectorLanes() {}

  /** Not in a constructor, so that whoever lacks the module never links this class. */
  static Lanes create() {
    return new VectorLanes();
  }

  @Override
  public int columns() {
    return 2 * LANES;
  }

  // Twelve sums, two vectors of b and one of a: what 16 registers hold. Named one by one, since an
  // array of vectors would lie in memory.
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
    FloatVector c00 = FloatVector.zero(F);
    FloatVector c01 = c00;
    FloatVector c10 = c00;
    FloatVector c11 = c00;
    FloatVector c20 = c00;
    FloatVector c21 = c00;
    FloatVector c30 = c00;
    FloatVector c31 = c00;
    FloatVector c40 = c00;
    FloatVector c41 = c00;
    FloatVector c50 = c00;
    FloatVector c51 = c00;
    int r0 = cAt;
    int r1 = r0 + cStride;
    int r2 = r1 + cStride;
    int r3 = r2 + cStride;
    int r4 = r3 + cStride;
    int r5 = r4 + cStride;
    if (add) {
      c00 = FloatVector.fromArray(F, c, r0);
      c01 = FloatVector.fromArray(F, c, r0 + LANES);
      c10 = FloatVector.fromArray(F, c, r1);
      c11 = FloatVector.fromArray(F, c, r1 + LANES);
      c20 = FloatVector.fromArray(F, c, r2);
      c21 = FloatVector.fromArray(F, c, r2 + LANES);
      c30 = FloatVector.fromArray(F, c, r3);
      c31 = FloatVector.fromArray(F, c, r3 + LANES);
      c40 = FloatVector.fromArray(F, c, r4);
      c41 = FloatVector.fromArray(F, c, r4 + LANES);
      c50 = FloatVector.fromArray(F, c, r5);
      c51 = FloatVector.fromArray(F, c, r5 + LANES);
    }
    int a0 = aAt;
    int a1 = a0 + rowStride;
    int a2 = a1 + rowStride;
    int a3 = a2 + rowStride;
    int a4 = a3 + rowStride;
    int a5 = a4 + rowStride;
    for (int p = 0, line = bAt, step = 0; p < k; p++, line += 2 * LANES, step += stepStride) {
      FloatVector b0 = FloatVector.fromArray(F, b, line);
      FloatVector b1 = FloatVector.fromArray(F, b, line + LANES);
      FloatVector x = FloatVector.broadcast(F, a[a0 + step]);
      c00 = x.fma(b0, c00);
      c01 = x.fma(b1, c01);
      x = FloatVector.broadcast(F, a[a1 + step]);
      c10 = x.fma(b0, c10);
      c11 = x.fma(b1, c11);
      x = FloatVector.broadcast(F, a[a2 + step]);
      c20 = x.fma(b0, c20);
      c21 = x.fma(b1, c21);
      x = FloatVector.broadcast(F, a[a3 + step]);
      c30 = x.fma(b0, c30);
      c31 = x.fma(b1, c31);
      x = FloatVector.broadcast(F, a[a4 + step]);
      c40 = x.fma(b0, c40);
      c41 = x.fma(b1, c41);
      x = FloatVector.broadcast(F, a[a5 + step]);
      c50 = x.fma(b0, c50);
      c51 = x.fma(b1, c51);
    }
    c00.intoArray(c, r0);
    c01.intoArray(c, r0 + LANES);
    c10.intoArray(c, r1);
    c11.intoArray(c, r1 + LANES);
    c20.intoArray(c, r2);
    c21.intoArray(c, r2 + LANES);
    c30.intoArray(c, r3);
    c31.intoArray(c, r3 + LANES);
    c40.intoArray(c, r4);
    c41.intoArray(c, r4 + LANES);
    c50.intoArray(c, r5);
    c51.intoArray(c, r5 + LANES);
  }

  @Override
  public float max(float[] x, int at, int count) {
    int whole = F.loopBound(count);
    float most = x[at];
    if (whole > 0) {
      FloatVector sofar = FloatVector.fromArray(F, x, at);
      for (int i = LANES; i < whole; i += LANES) {
        sofar = sofar.max(FloatVector.fromArray(F, x, at + i));
      }
      most = sofar.reduceLanes(VectorOperators.MAX);
    }
    for (int i = whole; i < count; i++) {
      most = Math.max(most, x[at + i]);
    }
    return most;
  }

  @Override
  public void exp(float[] x, int at, int count, float shift) {
    int i = at;
    for (int end = at + F.loopBound(count); i < end; i += LANES) {
      exp(FloatVector.fromArray(F, x, i).sub(shift)).intoArray(x, i);
    }
    if (i < at + count) { // the rest at once, not one by one
      VectorMask<Float> some = F.indexInRange(i, at + count);
      exp(FloatVector.fromArray(F, x, i, some).sub(shift)).intoArray(x, i, some);
    }
  }

  private static FloatVector exp(FloatVector x) {
    FloatVector y = x.max(PlainLanes.LEAST);
    FloatVector magic = FloatVector.broadcast(F, PlainLanes.MAGIC);
    FloatVector rounded = y.fma(FloatVector.broadcast(F, PlainLanes.LOG2_E), magic);
    FloatVector n = rounded.sub(magic);
    FloatVector r =
        n.fma(
            FloatVector.broadcast(F, -PlainLanes.LN2_LOW),
            n.fma(FloatVector.broadcast(F, -PlainLanes.LN2_HIGH), y));
    FloatVector sum = FloatVector.broadcast(F, PlainLanes.T7);
    sum = sum.fma(r, FloatVector.broadcast(F, PlainLanes.T6));
    sum = sum.fma(r, FloatVector.broadcast(F, PlainLanes.T5));
    sum = sum.fma(r, FloatVector.broadcast(F, PlainLanes.T4));
    sum = sum.fma(r, FloatVector.broadcast(F, PlainLanes.T3));
    sum = sum.fma(r, FloatVector.broadcast(F, PlainLanes.T2));
    sum = sum.fma(r, FloatVector.broadcast(F, 1));
    sum = sum.fma(r, FloatVector.broadcast(F, 1));
    // the low bits of what was rounded are n; conversion was a call
    IntVector power = rounded.reinterpretAsInts().lanewise(VectorOperators.LSHL, 23).add(ONE);
    return sum.mul(power.reinterpretAsFloats()).blend(0f, x.lt(PlainLanes.LEAST));
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
    int i = 0;
    for (int whole = F.loopBound(width); i < whole; i += LANES) {
      FloatVector sum = FloatVector.fromArray(F, x, at + i).mul(weights[weight]);
      for (int g = 1; g < count; g++) {
        FloatVector own = FloatVector.fromArray(F, x, at + g * stride + i);
        sum = own.fma(FloatVector.broadcast(F, weights[weight + g * weightStride]), sum);
      }
      sum.intoArray(y, yAt + i);
    }
    for (; i < width; i++) {
      float sum = weights[weight] * x[at + i];
      for (int g = 1; g < count; g++) {
        sum = Math.fma(weights[weight + g * weightStride], x[at + g * stride + i], sum);
      }
      y[yAt + i] = sum;
    }
  }

  @Override
  public void addScaled(float factor, float[] x, int at, float[] y, int yAt, int width) {
    FloatVector scale = FloatVector.broadcast(F, factor);
    int i = 0;
    for (int whole = F.loopBound(width); i < whole; i += LANES) {
      FloatVector sum = FloatVector.fromArray(F, y, yAt + i);
      FloatVector.fromArray(F, x, at + i).fma(scale, sum).intoArray(y, yAt + i);
    }
    for (; i < width; i++) {
      y[yAt + i] = Math.fma(factor, x[at + i], y[yAt + i]);
    }
  }

  @Override
  public void addProducts(float[] a, int aAt, float[] b, int bAt, float[] y, int yAt, int width) {
    int i = 0;
    for (int whole = F.loopBound(width); i < whole; i += LANES) {
      FloatVector sum = FloatVector.fromArray(F, y, yAt + i);
      FloatVector other = FloatVector.fromArray(F, b, bAt + i);
      FloatVector.fromArray(F, a, aAt + i).fma(other, sum).intoArray(y, yAt + i);
    }
    for (; i < width; i++) {
      y[yAt + i] = Math.fma(a[aAt + i], b[bAt + i], y[yAt + i]);
    }
  }
}
