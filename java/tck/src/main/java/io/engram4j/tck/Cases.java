package io.engram4j.tck;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;

import io.engram4j.kernel.Backend;
import io.engram4j.kernel.java.JavaBackend;
import io.engram4j.model.Dtype;
import io.engram4j.model.HiddenStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.util.SplittableRandom;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/** Random cases of one stage: a backend against the Java backend. */
abstract class Cases {
  /** Around every edge of a vector register, a tile and a block of tokens. */
  static final int[] SIZES = {
    1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 63, 64, 65, 96, 127, 128, 129, 160, 257
  };

  static final int[] TOKENS = {0, 1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 33};

  final Backend backend;
  final Backend truth = new JavaBackend();
  private final @Nullable Function<Arena, SegmentAllocator> memory;

  Cases(Backend backend, @Nullable Function<Arena, SegmentAllocator> memory) {
    this.backend = backend;
    this.memory = memory;
  }

  /** A case in which the backend differs from the truth. */
  static final class Mismatch extends Exception {
    private static final long serialVersionUID = 1;

    Mismatch(String message) {
      super(message);
    }
  }

  /** Runs one case. */
  abstract void one(SplittableRandom random) throws Mismatch;

  /** A stage whose results are exact, so that many can be compared at real sizes. */
  interface Exact {
    /** Compares at least so many row ids or rows, and returns how many. */
    int many(SplittableRandom random, long count) throws Mismatch;
  }

  final Buffers buffers(SplittableRandom random) {
    return new Buffers(random, memory);
  }

  static int pick(int[] values, SplittableRandom random) {
    return values[random.nextInt(values.length)];
  }

  /** Returns the length of a vector, what is not finite left out. */
  static double sizeOf(float[] values) {
    double sum = 0;
    for (float value : values) {
      sum += Float.isFinite(value) ? (double) value * value : 0;
    }
    return Math.sqrt(sum);
  }

  /** As {@link #floats}, in one of six cases with some that are not finite, or hardly not zero. */
  static MemorySegment wildFloats(Buffers buffers, int count, SplittableRandom random) {
    MemorySegment segment = floats(buffers, count, random);
    float[] wild = {
      Float.NaN,
      Float.POSITIVE_INFINITY,
      Float.NEGATIVE_INFINITY,
      Float.MIN_VALUE,
      -0f,
      1e30f,
      Float.MAX_VALUE,
      -Float.MAX_VALUE
    };
    for (int i = random.nextInt(6) == 0 ? random.nextInt(4) : 0; i > 0 && count > 0; i--) {
      float value = wild[random.nextInt(wild.length)];
      segment.setAtIndex(JAVA_FLOAT_UNALIGNED, random.nextInt(count), value);
    }
    return segment;
  }

  /** A number near the end of floats, whose square is far beyond. */
  static final double LARGE = 1.7e38;

  static float largest(double value) {
    return (float) Math.clamp(value, -Float.MAX_VALUE, Float.MAX_VALUE);
  }

  static MemorySegment junk(MemorySegment segment, SplittableRandom random) {
    for (long i = 0; i < segment.byteSize(); i++) {
      segment.set(JAVA_BYTE, i, (byte) random.nextInt());
    }
    return segment;
  }

  static float[] gaussians(int count, SplittableRandom random) {
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return values;
  }

  static MemorySegment floats(Buffers buffers, int count, SplittableRandom random) {
    MemorySegment segment = buffers.allocate(4L * count);
    for (int i = 0; i < count; i++) {
      segment.setAtIndex(JAVA_FLOAT_UNALIGNED, i, (float) random.nextGaussian());
    }
    return segment;
  }

  static float[] toArray(MemorySegment segment) {
    float[] values = new float[(int) (segment.byteSize() / 4)];
    MemorySegment.copy(segment, JAVA_FLOAT_UNALIGNED, 0, values, 0, values.length);
    return values;
  }

  static void requireNorm(String what, float[] actual, float[] expected, double size)
      throws Mismatch {
    TensorResult result = Compare.norm(what, actual, Compare.widen(expected), size);
    if (!result.passed()) {
      throw new Mismatch(result.toString());
    }
  }

  static void requireSame(String what, MemorySegment actual, MemorySegment expected)
      throws Mismatch {
    long at = actual.mismatch(expected);
    if (at >= 0) {
      throw new Mismatch(what + " differ at byte " + at + " of " + expected.byteSize());
    }
  }

  static void requireSameFloats(
      String what, MemorySegment actual, MemorySegment expected, Dtype type) throws Mismatch {
    HiddenStream a = new HiddenStream(actual, type, 0, 0);
    HiddenStream e = new HiddenStream(expected, type, 0, 0);
    for (int i = 0; i < expected.byteSize() / type.bytes(); i++) {
      if (Float.floatToIntBits(a.get(0, i)) != Float.floatToIntBits(e.get(0, i))) {
        throw new Mismatch(
            what + " differ at element " + i + ": " + a.get(0, i) + ", not " + e.get(0, i));
      }
    }
  }

  static void requireIntact(Buffers buffers) throws Mismatch {
    if (!buffers.intact()) {
      throw new Mismatch("bytes beside a buffer were written");
    }
  }

  /** Returns random streams, with gaps between branches and tokens. */
  static HiddenStream stream(
      Buffers buffers, Dtype type, int tokens, int branches, int size, SplittableRandom random) {
    long branchStride = (long) size * type.bytes() + random.nextInt(3) * 8L;
    long tokenStride = branchStride * branches + random.nextInt(3) * 16L;
    MemorySegment data = buffers.allocate(tokenStride * tokens);
    HiddenStream hidden = new HiddenStream(data, type, tokenStride, branchStride);
    fill(hidden, tokens, branches, size, random);
    return hidden;
  }

  /** Returns the same streams, elsewhere. */
  static HiddenStream twin(Buffers buffers, HiddenStream hidden) {
    return new HiddenStream(
        buffers.copy(hidden.data()), hidden.dtype(), hidden.tokenStride(), hidden.branchStride());
  }

  private static void fill(
      HiddenStream hidden, int tokens, int branches, int size, SplittableRandom random) {
    for (int token = 0; token < tokens; token++) {
      for (int branch = 0; branch < branches; branch++) {
        // streams of zeros, and streams far larger and smaller than usual, up to the end of floats
        double scale = new double[] {0, 1, 1, 1, 1, 1e4, 1e-4, LARGE}[random.nextInt(8)];
        long at = hidden.at(token, branch);
        for (int i = 0; i < size; i++) {
          hidden.set(at, i, largest(scale * random.nextGaussian()));
        }
      }
    }
  }

  static void requireStreams(
      HiddenStream actual,
      HiddenStream expected,
      HiddenStream before,
      MemorySegment mask,
      int tokens,
      int branches,
      int size,
      double sizeOfValues)
      throws Mismatch {
    float[] a = new float[size];
    float[] e = new float[size];
    float[] was = new float[size];
    for (int token = 0; token < tokens; token++) {
      for (int branch = 0; branch < branches; branch++) {
        long at = actual.at(token, branch);
        for (int i = 0; i < size; i++) {
          a[i] = actual.get(at, i);
          e[i] = expected.get(at, i);
          was[i] = before.get(at, i);
        }
        TensorResult result =
            mask.get(JAVA_BYTE, token) == 0
                ? Compare.exact("masked stream", a, e)
                : actual.dtype() == Dtype.BF16
                    ? Compare.ulps("stream", a, e, was)
                    : Compare.norm("stream", a, Compare.widen(e), sizeOfValues);
        if (!result.passed()) {
          throw new Mismatch("token " + token + " branch " + branch + ": " + result);
        }
      }
    }
  }
}
