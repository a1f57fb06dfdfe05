package io.engram4j.vector;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;

import io.engram4j.kernel.Backend;
import io.engram4j.table.RowType;
import io.engram4j.weights.Linear;
import io.engram4j.weights.Projection;
import java.lang.foreign.MemorySegment;
import java.util.Objects;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.VectorOperators;

/**
 * Projection of one fp8 weight whose numbers are ordinary, as in every published model: no NaN
 * codes, and inputs and scales far from the ends of float, so that powers of two can be multiplied
 * in anywhere. Other weights, and single tokens or scales that are not, are plain Java's. The
 * arithmetic is that of the C kernels (docs/decisions/0010).
 */
final class VectorProject implements Backend.Project {
  /** Tokens at a time: weights are decoded once for all of them, and they fit into a L2 cache. */
  private static final int BATCH = 8;

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
    if (fits == 0) {
      fits = fits(projection) ? 1 : -1; // threads that ask at once find the same
    }
    if (fits < 0) {
      plain.run(rows, tokens, first, count, kv);
      return;
    }
    VectorDots dots = new VectorDots(projection.parts().getFirst(), Math.min(tokens, BATCH));
    long inputs = projection.inputs();
    int token = 0;
    while (token < tokens) {
      int some = dots.take(rows, token, Math.min(BATCH, tokens - token));
      if (some > 0) {
        dots.run(some, first, count, kv, token);
        repairOverflow(rows, token, some, first, count, kv);
      } else {
        some = 1;
        MemorySegment out = kv.asSlice(4L * projection.outputs() * token);
        plain.run(rows.asSlice(4 * inputs * token), 1, first, count, out);
      }
      token += some;
    }
  }

  /**
   * Products are added in float, where those of rows near 3.4e38 are infinite though the sum is
   * not: such outputs are done again in double.
   */
  private void repairOverflow(
      MemorySegment rows, int token, int tokens, int first, int count, MemorySegment kv) {
    long inputs = projection.inputs();
    for (int i = token; i < token + tokens; i++) {
      MemorySegment row = rows.asSlice(4 * inputs * i, 4 * inputs);
      MemorySegment out = kv.asSlice(4L * projection.outputs() * i);
      if (areFinite(out, first, count) || hasNanInput(row)) {
        continue;
      }
      for (int output = first; output < first + count; output++) {
        if (!areFinite(out, output, 1)) {
          plain.run(row, 1, output, 1, out);
        }
      }
    }
  }

  /** Then all outputs are NaN, whatever is done. */
  private boolean hasNanInput(MemorySegment row) {
    boolean nan = false;
    for (long i = 0; i < projection.inputs(); i++) {
      nan |= Float.isNaN(row.get(JAVA_FLOAT_UNALIGNED, 4 * i));
    }
    return nan;
  }

  private static boolean areFinite(MemorySegment values, int first, int count) {
    boolean finite = true;
    for (long i = first; i < first + (long) count; i++) {
      finite &= Float.isFinite(values.get(JAVA_FLOAT_UNALIGNED, 4 * i));
    }
    return finite;
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
    for (int output = 0; output < part.outputs(); output++) {
      if (hasNan(part.weight(), output * part.weightStride(), part.inputs())) {
        return false;
      }
    }
    return true;
  }

  private static boolean hasNan(MemorySegment weight, long from, int count) {
    MemorySegment codes = Vectors.offHeap(weight);
    ByteVector most = ByteVector.zero(Vectors.B);
    for (int i = 0; i < count; i += Vectors.LANES) {
      ByteVector code = ByteVector.fromMemorySegment(Vectors.B, codes, from + i, Vectors.LITTLE);
      most = most.max(code.and((byte) 0x7f));
    }
    return most.reduceLanes(VectorOperators.MAX) == 0x7f;
  }
}
