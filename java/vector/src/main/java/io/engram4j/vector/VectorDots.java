package io.engram4j.vector;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;

import io.engram4j.weights.Linear;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Objects;
import jdk.incubator.vector.DoubleVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;

/**
 * Dot products of some tokens' inputs with the rows of an fp8 weight, four outputs at a time. A
 * block of four rows becomes floats before it is multiplied, which stay in the first cache: in an
 * array, as checks of each access to memory took half as long as the products. The same bits for
 * any number of tokens.
 */
final class VectorDots {
  /** Inputs that are added in float before they go on in double. */
  private static final int GROUP = 16 * Linear.TILE;

  /** Inputs that are decoded together. */
  private static final int BLOCK = 2 * GROUP;

  /** Outputs at a time, all of one row of scales. */
  private static final int ROWS = 4;

  private static final int DOUBLES = Vectors.D.length();

  private static final float LEAST_INPUT = 0x1p-30f;
  private static final float MOST_INPUT = 0x1p50f;

  private final Linear linear;
  private final int inputs;
  private final float[] in; // [tokens, inputs]
  private final float[] scaled; // the same, times the scales of a row of tiles
  private final byte[] scales; // [inputs / TILE]
  private final short[] halves = new short[ROWS * BLOCK];
  private final float[] decoded = new float[ROWS * BLOCK];
  private final double[] sums; // [tokens, ROWS, DOUBLES]

  /** For so many tokens at a time. */
  VectorDots(Linear linear, int tokens) {
    this.linear = linear;
    this.inputs = linear.inputs();
    this.in = new float[tokens * inputs];
    this.scaled = new float[in.length];
    this.scales = new byte[inputs / Linear.TILE];
    this.sums = new double[tokens * ROWS * DOUBLES];
  }

  /** Takes inputs from a token on, up to the first who are not ordinary; returns how many. */
  int take(MemorySegment rows, int first, int most) {
    long from = 4L * inputs * first;
    MemorySegment.copy(rows, JAVA_FLOAT_UNALIGNED, from, in, 0, most * inputs);
    int tokens = 0;
    while (tokens < most && isOrdinary(in, tokens * inputs, inputs)) {
      tokens++;
    }
    return tokens;
  }

  private static boolean isOrdinary(float[] in, int from, int count) {
    boolean ordinary = true;
    for (int i = from; i < from + count; i++) {
      float size = Math.abs(in[i]);
      ordinary &= size == 0 || (size >= LEAST_INPUT && size <= MOST_INPUT);
    }
    return ordinary;
  }

  /** Writes outputs of the tokens that were taken, the first of which is so far down in kv. */
  void run(int tokens, int first, int count, MemorySegment kv, int token) {
    int end = first + count;
    int some;
    for (int output = first; output < end; output += some) {
      some = output % ROWS == 0 && end - output >= ROWS ? ROWS : 1; // few at the ends
      if (output == first || output % Linear.TILE == 0) {
        scale(output, tokens);
      }
      Arrays.fill(sums, 0);
      for (int from = 0; from < inputs; from += BLOCK) {
        int length = Math.min(BLOCK, inputs - from);
        decode(output, some, from, length);
        multiply(tokens, from, length);
      }
      write(tokens, output, some, kv, (long) token * linear.outputs());
    }
  }

  /** Inputs times the scales of a row of tiles, for all of its outputs. */
  private void scale(int output, int tokens) {
    MemorySegment scale = Objects.requireNonNull(linear.scale());
    long from = output / Linear.TILE * linear.scaleStride();
    MemorySegment.copy(scale, JAVA_BYTE, from, scales, 0, scales.length);
    for (int tile = 0; tile < scales.length; tile++) {
      float factor = Float.intBitsToFloat(((scales[tile] & 0xff) + Vectors.CODES_DIVIDED) << 23);
      for (int t = 0; t < tokens; t++) {
        scaleTile(in, t * inputs + tile * Linear.TILE, factor, scaled);
      }
    }
  }

  private static void scaleTile(float[] in, int at, float factor, float[] scaled) {
    for (int i = at; i < at + Linear.TILE; i += Vectors.LANES) {
      FloatVector.fromArray(Vectors.F, in, i).mul(factor).intoArray(scaled, i);
    }
  }

  private void decode(int output, int count, int from, int length) {
    MemorySegment weight = linear.weight();
    for (int i = 0; i < count; i++) {
      long at = (output + i) * linear.weightStride() + from;
      Vectors.halves(weight, at, halves, i * length, length);
    }
    Vectors.floats(halves, decoded, count * length);
  }

  /** Adds the products of a block, of two tokens at a time while there are two. */
  private void multiply(int tokens, int from, int length) {
    int own = ROWS * DOUBLES;
    for (int at = 0; at < length; at += GROUP) {
      int count = Math.min(GROUP, length - at);
      int t = 0;
      for (; t + 2 <= tokens; t += 2) {
        two(decoded, at, length, scaled, t * inputs + from + at, inputs, count, sums, own * t);
      }
      if (t < tokens) {
        one(decoded, at, length, scaled, t * inputs + from + at, count, sums, own * t);
      }
    }
  }

  private static void one(
      float[] decoded, int at, int row, float[] in, int own, int count, double[] sums, int to) {
    FloatVector sum0 = FloatVector.zero(Vectors.F);
    FloatVector sum1 = FloatVector.zero(Vectors.F);
    FloatVector sum2 = FloatVector.zero(Vectors.F);
    FloatVector sum3 = FloatVector.zero(Vectors.F);
    for (int k = 0; k < count; k += Vectors.LANES) {
      FloatVector x = floats(in, own + k);
      sum0 = floats(decoded, at + k).fma(x, sum0);
      sum1 = floats(decoded, at + row + k).fma(x, sum1);
      sum2 = floats(decoded, at + 2 * row + k).fma(x, sum2);
      sum3 = floats(decoded, at + 3 * row + k).fma(x, sum3);
    }
    add(sums, to, sum0);
    add(sums, to + DOUBLES, sum1);
    add(sums, to + 2 * DOUBLES, sum2);
    add(sums, to + 3 * DOUBLES, sum3);
  }

  /** Two tokens, so that a weight that was loaded is used twice. */
  private static void two(
      float[] decoded,
      int at,
      int row,
      float[] in,
      int own,
      int next,
      int count,
      double[] sums,
      int to) {
    FloatVector sum0 = FloatVector.zero(Vectors.F);
    FloatVector sum1 = FloatVector.zero(Vectors.F);
    FloatVector sum2 = FloatVector.zero(Vectors.F);
    FloatVector sum3 = FloatVector.zero(Vectors.F);
    FloatVector next0 = FloatVector.zero(Vectors.F);
    FloatVector next1 = FloatVector.zero(Vectors.F);
    FloatVector next2 = FloatVector.zero(Vectors.F);
    FloatVector next3 = FloatVector.zero(Vectors.F);
    for (int k = 0; k < count; k += Vectors.LANES) {
      FloatVector x = floats(in, own + k);
      FloatVector y = floats(in, own + next + k);
      FloatVector w0 = floats(decoded, at + k);
      sum0 = w0.fma(x, sum0);
      next0 = w0.fma(y, next0);
      FloatVector w1 = floats(decoded, at + row + k);
      sum1 = w1.fma(x, sum1);
      next1 = w1.fma(y, next1);
      FloatVector w2 = floats(decoded, at + 2 * row + k);
      sum2 = w2.fma(x, sum2);
      next2 = w2.fma(y, next2);
      FloatVector w3 = floats(decoded, at + 3 * row + k);
      sum3 = w3.fma(x, sum3);
      next3 = w3.fma(y, next3);
    }
    add(sums, to, sum0);
    add(sums, to + DOUBLES, sum1);
    add(sums, to + 2 * DOUBLES, sum2);
    add(sums, to + 3 * DOUBLES, sum3);
    add(sums, to + 4 * DOUBLES, next0);
    add(sums, to + 5 * DOUBLES, next1);
    add(sums, to + 6 * DOUBLES, next2);
    add(sums, to + 7 * DOUBLES, next3);
  }

  private static void add(double[] sums, int at, FloatVector part) {
    DoubleVector.fromArray(Vectors.D, sums, at)
        .add(part.convertShape(VectorOperators.F2D, Vectors.D, 0))
        .add(part.convertShape(VectorOperators.F2D, Vectors.D, 1))
        .intoArray(sums, at);
  }

  private static FloatVector floats(float[] values, int at) {
    return FloatVector.fromArray(Vectors.F, values, at);
  }

  private void write(int tokens, int output, int count, MemorySegment kv, long to) {
    for (int t = 0; t < tokens; t++) {
      for (int i = 0; i < count; i++) {
        float sum = (float) Vectors.sum(sums, (t * ROWS + i) * DOUBLES);
        long at = to + (long) t * linear.outputs() + output + i;
        kv.setAtIndex(JAVA_FLOAT_UNALIGNED, at, sum + linear.bias(output + i));
      }
    }
  }
}
