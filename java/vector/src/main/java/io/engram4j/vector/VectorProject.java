package io.engram4j.vector;

import static io.engram4j.vector.Vectors.ALL;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;

import io.engram4j.kernel.Backend;
import io.engram4j.table.RowType;
import io.engram4j.weights.Linear;
import io.engram4j.weights.Projection;
import java.lang.foreign.MemorySegment;
import java.lang.ref.Reference;
import java.util.Objects;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.DoubleVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;

/**
 * Projection of one fp8 weight whose numbers are ordinary, as in every published model: no NaN
 * codes, and inputs and scales far from the ends of float, so that powers of two can be multiplied
 * in anywhere. Other weights, and single tokens or scales that are not, are plain Java's. The
 * arithmetic is that of the C kernels (docs/decisions/0010).
 */
final class VectorProject implements Backend.Project {
  /** Inputs that are added in float before they go on in double. */
  private static final int GROUP = 8 * Linear.TILE;

  /** Outputs at a time, all of one row of scales. */
  private static final int ROWS = 4;

  private static final float LEAST_INPUT = 0x1p-30f;
  private static final float MOST_INPUT = 0x1p50f;
  private static final int LEAST_SCALE = 97;
  private static final int MOST_SCALE = 144;

  private final Projection projection;
  private final Backend.Project plain;
  private volatile int fits; // 0 until it is known, then 1 or -1

  VectorProject(Projection projection, Backend.Project plain) {
    this.projection = projection;
    this.plain = plain;
  }

  @Override
  public void run(MemorySegment rows, int tokens, int first, int count, MemorySegment kv) {
    Linear part = projection.parts().getFirst();
    try {
      if (fits == 0) {
        fits = fits(projection) ? 1 : -1; // threads that ask at once find the same
      }
      boolean fast = fits > 0 && rows.isNative() && tokens > 0;
      int outputs = projection.outputs();
      int inputs = projection.inputs();
      for (int token = 0; token < tokens; token++) {
        MemorySegment out = token == 0 ? kv : kv.asSlice(4L * outputs * token);
        MemorySegment in = token == 0 ? rows : rows.asSlice(4L * inputs * token);
        if (fast && isOrdinary(Vectors.address(in, "rows"), inputs)) {
          token(part, in, first, count, out);
        } else {
          plain.run(in, 1, first, count, out);
        }
      }
    } finally {
      Reference.reachabilityFence(projection);
      Reference.reachabilityFence(rows);
      Reference.reachabilityFence(kv);
    }
  }

  /** One fp8 weight in whole tiles, without NaN codes, with ordinary scales. Reads all of it. */
  private static boolean fits(Projection projection) {
    Linear part = projection.parts().getFirst();
    MemorySegment scale = part.scale();
    boolean shaped =
        projection.parts().size() == 1
            && part.type() == RowType.F8_E4M3
            && part.inputs() % Linear.TILE == 0
            && scale != null
            && part.weight().isNative()
            && scale.isNative();
    if (!shaped) {
      return false;
    }
    for (long i = 0; i < Objects.requireNonNull(scale).byteSize(); i++) {
      int code = scale.get(JAVA_BYTE, i) & 0xff;
      if (code < LEAST_SCALE || code > MOST_SCALE) {
        return false;
      }
    }
    long weight = Vectors.address(part.weight(), "a projection");
    for (int output = 0; output < part.outputs(); output++) {
      if (hasNan(weight + output * part.weightStride(), part.inputs())) {
        return false;
      }
    }
    return true;
  }

  private static boolean hasNan(long codes, int count) {
    ByteVector most = ByteVector.zero(Vectors.B);
    for (int i = 0; i < count; i += Vectors.LANES) {
      ByteVector code = ByteVector.fromMemorySegment(Vectors.B, ALL, codes + i, Vectors.LITTLE);
      most = most.max(code.and((byte) 0x7f));
    }
    return most.reduceLanes(VectorOperators.MAX) == 0x7f;
  }

  private static boolean isOrdinary(long in, int inputs) {
    boolean ordinary = true;
    for (int i = 0; i < inputs; i++) {
      float size = Math.abs(ALL.get(JAVA_FLOAT_UNALIGNED, in + 4L * i));
      ordinary &= size == 0 || (size >= LEAST_INPUT && size <= MOST_INPUT);
    }
    return ordinary;
  }

  private void token(Linear part, MemorySegment in, int first, int count, MemorySegment out) {
    long weight = Vectors.address(part.weight(), "a projection");
    long scales = Vectors.address(Objects.requireNonNull(part.scale()), "a projection");
    int end = first + count;
    int output = first;
    while (output < end) {
      long row = weight + output * part.weightStride();
      long scale = scales + output / Linear.TILE * part.scaleStride();
      if (output % ROWS == 0 && end - output >= ROWS) {
        four(row, part.weightStride(), scale, in.address(), part.inputs(), out, output, ROWS);
        output += ROWS;
      } else { // all four the same row: a few outputs at the ends
        four(row, 0, scale, in.address(), part.inputs(), out, output, 1);
        output++;
      }
    }
    for (int i = first; i < end; i++) {
      float value = out.getAtIndex(JAVA_FLOAT_UNALIGNED, i);
      out.setAtIndex(JAVA_FLOAT_UNALIGNED, i, value + part.bias(i));
    }
  }

  /** Writes up to four outputs, whose rows of weights lie a stride apart. */
  private static void four(
      long row,
      long stride,
      long scales,
      long in,
      int inputs,
      MemorySegment out,
      int output,
      int count) {
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
        int scale = ALL.get(JAVA_BYTE, scales + k / Linear.TILE) & 0xff;
        float factor = Float.intBitsToFloat((scale + Vectors.CODES_DIVIDED) << 23);
        FloatVector x =
            FloatVector.fromMemorySegment(Vectors.F, ALL, in + 4L * k, Vectors.LITTLE).mul(factor);
        long at = row + k;
        part0 = weights(at).fma(x, part0);
        part1 = weights(at + stride).fma(x, part1);
        part2 = weights(at + 2 * stride).fma(x, part2);
        part3 = weights(at + 3 * stride).fma(x, part3);
      }
      sum0 = sum0.add(low(part0)).add(high(part0));
      sum1 = sum1.add(low(part1)).add(high(part1));
      sum2 = sum2.add(low(part2)).add(high(part2));
      sum3 = sum3.add(low(part3)).add(high(part3));
    }
    DoubleVector[] sums = {sum0, sum1, sum2, sum3};
    double[] lanes = new double[Vectors.D.length()];
    for (int i = 0; i < count; i++) {
      out.setAtIndex(JAVA_FLOAT_UNALIGNED, output + i, (float) Vectors.sum(sums[i], lanes));
    }
  }

  private static FloatVector weights(long codes) {
    return Vectors.codes(ByteVector.fromMemorySegment(Vectors.B, ALL, codes, Vectors.LITTLE));
  }

  private static DoubleVector low(FloatVector part) {
    return (DoubleVector) part.convertShape(VectorOperators.F2D, Vectors.D, 0);
  }

  private static DoubleVector high(FloatVector part) {
    return (DoubleVector) part.convertShape(VectorOperators.F2D, Vectors.D, 1);
  }
}
