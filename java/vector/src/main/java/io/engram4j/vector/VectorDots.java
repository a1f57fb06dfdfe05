package io.engram4j.vector;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;

import io.engram4j.weights.Linear;
import java.lang.foreign.MemorySegment;
import java.util.Objects;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.DoubleVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;

/**
 * Dot products of some tokens' inputs with the rows of an fp8 weight, four outputs at a time. Works
 * on arrays of its own, which bulk copies fill: memory is then checked once a row, where checks of
 * each access took half as long as the products. Four rows are decoded before they are multiplied,
 * which is faster than both at once for a single token too. The same bits for any number of tokens.
 */
final class VectorDots {
  /** Inputs that are added in float before they go on in double. */
  private static final int GROUP = 8 * Linear.TILE;

  /** Outputs at a time, all of one row of scales. */
  private static final int ROWS = 4;

  private static final float LEAST_INPUT = 0x1p-30f;
  private static final float MOST_INPUT = 0x1p50f;

  private final Linear linear;
  private final int inputs;
  private final float[] in; // [tokens, inputs]
  private final byte[] codes; // [ROWS, inputs]
  private final byte[] scales; // [inputs / TILE]
  private final float[] decoded; // [ROWS, inputs]
  private final float[] sums = new float[ROWS];
  private final double[] lanes = new double[Vectors.D.length()];

  /** For so many tokens at a time. */
  VectorDots(Linear linear, int tokens) {
    this.linear = linear;
    this.inputs = linear.inputs();
    this.in = new float[tokens * inputs];
    this.codes = new byte[ROWS * inputs];
    this.scales = new byte[inputs / Linear.TILE];
    this.decoded = new float[codes.length];
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
      read(output, some);
      decode(codes, decoded, some * inputs);
      for (int t = 0; t < tokens; t++) {
        sum(t * inputs);
        long to = (long) (token + t) * linear.outputs() + output;
        for (int i = 0; i < some; i++) {
          kv.setAtIndex(JAVA_FLOAT_UNALIGNED, to + i, sums[i] + linear.bias(output + i));
        }
      }
    }
  }

  /** Reads the weights and scales of some outputs. */
  private void read(int output, int count) {
    MemorySegment weight = linear.weight();
    for (int i = 0; i < count; i++) {
      long from = (output + i) * linear.weightStride();
      MemorySegment.copy(weight, JAVA_BYTE, from, codes, i * inputs, inputs);
    }
    long from = output / Linear.TILE * linear.scaleStride();
    MemorySegment scale = Objects.requireNonNull(linear.scale());
    MemorySegment.copy(scale, JAVA_BYTE, from, scales, 0, scales.length);
  }

  private static void decode(byte[] codes, float[] decoded, int count) {
    for (int i = 0; i < count; i += Vectors.LANES) {
      Vectors.codes(ByteVector.fromArray(Vectors.B, codes, i), 0).intoArray(decoded, i);
    }
  }

  private float factor(int input) {
    int scale = scales[input / Linear.TILE] & 0xff;
    return Float.intBitsToFloat((scale + Vectors.CODES_DIVIDED) << 23);
  }

  /** One token, from where its inputs begin. Sums that nobody asked for are anything. */
  private void sum(int token) {
    DoubleVector sum0 = DoubleVector.zero(Vectors.D);
    DoubleVector sum1 = DoubleVector.zero(Vectors.D);
    DoubleVector sum2 = DoubleVector.zero(Vectors.D);
    DoubleVector sum3 = DoubleVector.zero(Vectors.D);
    for (int from = 0; from < inputs; from += GROUP) {
      FloatVector part0 = FloatVector.zero(Vectors.F);
      FloatVector part1 = FloatVector.zero(Vectors.F);
      FloatVector part2 = FloatVector.zero(Vectors.F);
      FloatVector part3 = FloatVector.zero(Vectors.F);
      int end = Math.min(inputs, from + GROUP);
      for (int k = from; k < end; k += Vectors.LANES) {
        FloatVector x = FloatVector.fromArray(Vectors.F, in, token + k).mul(factor(k));
        part0 = floats(decoded, k).fma(x, part0);
        part1 = floats(decoded, k + inputs).fma(x, part1);
        part2 = floats(decoded, k + 2 * inputs).fma(x, part2);
        part3 = floats(decoded, k + 3 * inputs).fma(x, part3);
      }
      sum0 = sum0.add(low(part0)).add(high(part0));
      sum1 = sum1.add(low(part1)).add(high(part1));
      sum2 = sum2.add(low(part2)).add(high(part2));
      sum3 = sum3.add(low(part3)).add(high(part3));
    }
    add(sum0, sum1, sum2, sum3);
  }

  private void add(DoubleVector sum0, DoubleVector sum1, DoubleVector sum2, DoubleVector sum3) {
    sums[0] = (float) Vectors.sum(sum0, lanes);
    sums[1] = (float) Vectors.sum(sum1, lanes);
    sums[2] = (float) Vectors.sum(sum2, lanes);
    sums[3] = (float) Vectors.sum(sum3, lanes);
  }

  private static FloatVector floats(float[] decoded, int at) {
    return FloatVector.fromArray(Vectors.F, decoded, at);
  }

  private static DoubleVector low(FloatVector part) {
    return (DoubleVector) part.convertShape(VectorOperators.F2D, Vectors.D, 0);
  }

  private static DoubleVector high(FloatVector part) {
    return (DoubleVector) part.convertShape(VectorOperators.F2D, Vectors.D, 1);
  }
}
