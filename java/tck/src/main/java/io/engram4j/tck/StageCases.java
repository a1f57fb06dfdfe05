package io.engram4j.tck;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_INT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_LONG_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_SHORT_UNALIGNED;

import io.engram4j.backend.Backend;
import io.engram4j.backend.JavaBackend;
import io.engram4j.conv.ConvWeights;
import io.engram4j.format.Bfloat16;
import io.engram4j.format.Dtype;
import io.engram4j.gate.GateWeights;
import io.engram4j.gate.GateWeights.ZeroRule;
import io.engram4j.gate.HiddenStream;
import io.engram4j.gather.Table;
import io.engram4j.layout.EngramConfig;
import io.engram4j.layout.EngramConfig.Variant;
import io.engram4j.layout.EngramLayout;
import io.engram4j.layout.LayerLayout;
import io.engram4j.project.Linear;
import io.engram4j.project.Projection;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;
import java.util.SplittableRandom;
import org.jspecify.annotations.Nullable;

/** Random cases per stage: the backend against the Java backend. */
final class StageCases {
  /** Around every edge of a vector register, a tile and a block of tokens. */
  private static final int[] SIZES = {
    1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 63, 64, 65, 96, 127, 128, 129, 160, 257
  };

  private static final int[] TOKENS = {0, 1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 33};

  private final Backend backend;
  private final Backend truth = new JavaBackend();

  StageCases(Backend backend) {
    this.backend = backend;
  }

  /** A case in which the backend differs from the truth. */
  static final class Mismatch extends Exception {
    private static final long serialVersionUID = 1;

    Mismatch(String message) {
      super(message);
    }
  }

  private static int pick(int[] values, SplittableRandom random) {
    return values[random.nextInt(values.length)];
  }

  void hash(SplittableRandom random) throws Mismatch {
    int maxNgram = random.nextInt(2, 7);
    int heads = random.nextInt(1, 10);
    int compressed = 1 << random.nextInt(0, 30);
    compressed -= random.nextInt(0, (compressed + 1) / 2);
    List<Long> starts = new ArrayList<>();
    for (int order = 2; order <= maxNgram; order++) {
      starts.add(random.nextLong(1, 1L << random.nextInt(1, 32)));
    }
    EngramConfig config =
        new EngramConfig(
            Variant.V41,
            8,
            1,
            List.of(random.nextInt(0, 100)),
            maxNgram,
            starts,
            heads,
            8,
            0,
            random.nextInt(0, 1000),
            1e-20,
            0,
            OptionalInt.empty(),
            OptionalInt.empty(),
            List.of());
    LayerLayout layout = EngramLayout.of(config, compressed).getFirst();
    int tokens = pick(TOKENS, random);
    try (Buffers buffers = new Buffers(random)) {
      MemorySegment windows = buffers.allocate(4L * tokens * maxNgram);
      for (long i = 0; i < (long) tokens * maxNgram; i++) {
        // the ends of the range as often as its middle
        int id = random.nextInt(8) == 0 ? compressed - 1 : random.nextInt(compressed);
        windows.setAtIndex(JAVA_INT_UNALIGNED, i, random.nextInt(8) == 0 ? 0 : id);
      }
      MemorySegment actual = buffers.allocate(8L * tokens * layout.columns());
      MemorySegment expected = buffers.allocate(8L * tokens * layout.columns());
      backend.hash(layout).run(windows, tokens, actual);
      truth.hash(layout).run(windows, tokens, expected);
      requireSame("row ids", actual, expected);
      requireIntact(buffers);
    }
  }

  void gather(SplittableRandom random) throws Mismatch {
    Dtype[] types = {Dtype.F8_E4M3, Dtype.F8_E4M3, Dtype.BF16, Dtype.F16, Dtype.F32};
    Dtype type = types[random.nextInt(types.length)];
    int headDim = random.nextInt(4) == 0 ? 256 : pick(SIZES, random);
    long rows = random.nextInt(1, 50);
    int count = pick(TOKENS, random) * pick(new int[] {1, 3, 24}, random);
    Dtype outType = random.nextBoolean() ? Dtype.F32 : Dtype.BF16;
    try (Buffers buffers = new Buffers(random)) {
      MemorySegment weight = junk(buffers.allocate(rows * headDim * type.bytes()), random);
      MemorySegment scale = junk(buffers.allocate(rows * Table.scalesPerRow(headDim)), random);
      Table table =
          type == Dtype.F8_E4M3
              ? Table.fp8("table", rows, headDim, weight, scale)
              : Table.plain("table", type, rows, headDim, weight);
      MemorySegment ids = buffers.allocate(8L * count);
      for (int i = 0; i < count; i++) {
        long id = random.nextInt(6) == 0 ? rows - 1 : random.nextLong(-1, rows);
        ids.setAtIndex(JAVA_LONG_UNALIGNED, i, id);
      }
      MemorySegment actual = buffers.allocate((long) count * headDim * outType.bytes());
      MemorySegment expected = buffers.allocate((long) count * headDim * outType.bytes());
      backend.gather(table).run(ids, count, actual, outType);
      truth.gather(table).run(ids, count, expected, outType);
      requireSameFloats("rows", actual, expected, outType);
      requireIntact(buffers);
      if (count > 0) {
        long bad = random.nextBoolean() ? rows + random.nextLong(1L << 40) : -2 - random.nextInt(9);
        ids.setAtIndex(JAVA_LONG_UNALIGNED, random.nextInt(count), bad);
        requireRefused(() -> backend.gather(table).run(ids, count, actual, outType), bad);
        requireIntact(buffers);
      }
    }
  }

  private static void requireRefused(Runnable gather, long id) throws Mismatch {
    try {
      gather.run();
    } catch (IndexOutOfBoundsException e) {
      return;
    }
    throw new Mismatch("row id " + id + " was not refused");
  }

  void project(SplittableRandom random) throws Mismatch {
    int inputs = pick(SIZES, random) * random.nextInt(1, 4);
    int tokens = pick(TOKENS, random);
    try (Buffers buffers = new Buffers(random)) {
      List<Linear> parts = new ArrayList<>();
      for (int part = random.nextInt(1, 4); part > 0; part--) {
        parts.add(linear(buffers, pick(SIZES, random), inputs, random));
      }
      Projection projection = new Projection(parts);
      MemorySegment rows = floats(buffers, tokens * inputs, random);
      MemorySegment actual = buffers.allocate(4L * tokens * projection.outputs());
      MemorySegment expected = buffers.allocate(4L * tokens * projection.outputs());
      backend.project(projection).run(rows, tokens, actual);
      truth.project(projection).run(rows, tokens, expected);
      double size = 0;
      for (Linear part : parts) {
        size += Terms.squares(part, toArray(rows), tokens);
      }
      requireNorm("key and value", toArray(actual), toArray(expected), Math.sqrt(size));
      requireIntact(buffers);
    }
  }

  private static double sizeOf(float[] values) {
    double sum = 0;
    for (float value : values) {
      sum += (double) value * value;
    }
    return Math.sqrt(sum);
  }

  private static Linear linear(Buffers buffers, int outputs, int inputs, SplittableRandom random) {
    Dtype type = new Dtype[] {Dtype.F8_E4M3, Dtype.BF16, Dtype.F32}[random.nextInt(3)];
    MemorySegment weight = buffers.allocate((long) outputs * inputs * type.bytes());
    MemorySegment scale = null;
    if (type == Dtype.F8_E4M3) {
      for (long i = 0; i < weight.byteSize(); i++) {
        byte code = (byte) random.nextInt();
        weight.set(JAVA_BYTE, i, (code & 0x7f) == 0x7f ? 0 : code);
      }
      scale = buffers.allocate((long) Linear.tiles(outputs) * Linear.tiles(inputs));
      for (long i = 0; i < scale.byteSize(); i++) {
        scale.set(JAVA_BYTE, i, (byte) random.nextInt(110, 130));
      }
    } else {
      for (long i = 0; i < (long) outputs * inputs; i++) {
        float value = (float) random.nextGaussian();
        if (type == Dtype.F32) {
          weight.setAtIndex(JAVA_FLOAT_UNALIGNED, i, value);
        } else {
          weight.setAtIndex(JAVA_SHORT_UNALIGNED, i, Bfloat16.fromFloat(value));
        }
      }
    }
    float @Nullable [] bias = null;
    if (random.nextBoolean()) {
      bias = new float[outputs];
      for (int i = 0; i < outputs; i++) {
        bias[i] = (float) random.nextGaussian();
      }
    }
    return new Linear("weight", outputs, inputs, type, weight, scale, bias);
  }

  void gate(SplittableRandom random) throws Mismatch {
    int branches = random.nextInt(1, 6);
    int size = random.nextInt(10) == 0 ? 5120 : pick(SIZES, random);
    int tokens = size == 5120 ? random.nextInt(1, 3) : pick(TOKENS, random);
    ZeroRule rule = random.nextBoolean() ? ZeroRule.COPYSIGN : ZeroRule.SIGNUM;
    GateWeights weights =
        new GateWeights(
            branches,
            size,
            gaussians(branches * size, random),
            gaussians(branches * size, random),
            random.nextBoolean() ? 1e-20 : 1e-6,
            rule);
    Dtype type = random.nextBoolean() ? Dtype.F32 : Dtype.BF16;
    try (Buffers buffers = new Buffers(random)) {
      MemorySegment kv = floats(buffers, tokens * (branches + 1) * size, random);
      MemorySegment mask = buffers.allocate(tokens);
      for (int i = 0; i < tokens; i++) {
        mask.set(JAVA_BYTE, i, (byte) (random.nextInt(4) == 0 ? 0 : 1));
      }
      long branchStride = (long) size * type.bytes() + random.nextInt(3) * 8L;
      long tokenStride = branchStride * branches + random.nextInt(3) * 16L;
      MemorySegment data = buffers.allocate(tokenStride * tokens);
      HiddenStream hidden = new HiddenStream(data, type, tokenStride, branchStride);
      fill(hidden, tokens, branches, size, random);
      MemorySegment copy = buffers.copy(data);
      HiddenStream twin = new HiddenStream(copy, type, tokenStride, branchStride);
      MemorySegment actual = buffers.allocate(4L * tokens * branches);
      MemorySegment expected = buffers.allocate(4L * tokens * branches);
      if (random.nextBoolean()) {
        backend.gate(weights).update(kv, hidden, mask, tokens, actual);
        truth.gate(weights).update(kv, twin, mask, tokens, expected);
      } else {
        MemorySegment gated = buffers.allocate(4L * tokens * branches * size);
        MemorySegment twinGated = buffers.allocate(4L * tokens * branches * size);
        backend.gate(weights).values(kv, hidden, mask, tokens, actual, gated);
        truth.gate(weights).values(kv, twin, mask, tokens, expected, twinGated);
        requireNorm("gated values", toArray(gated), toArray(twinGated), 0);
      }
      requireGates(toArray(actual), toArray(expected));
      requireStreams(hidden, twin, mask, tokens, branches, size, sizeOf(toArray(kv)));
      requireIntact(buffers);
    }
  }

  private static void fill(
      HiddenStream hidden, int tokens, int branches, int size, SplittableRandom random) {
    for (int token = 0; token < tokens; token++) {
      for (int branch = 0; branch < branches; branch++) {
        // streams of zeros, and streams far larger and smaller than usual
        double scale = new double[] {0, 1, 1, 1, 1e4, 1e-4}[random.nextInt(6)];
        long at = hidden.at(token, branch);
        for (int i = 0; i < size; i++) {
          hidden.set(at, i, (float) (scale * random.nextGaussian()));
        }
      }
    }
  }

  private static void requireGates(float[] actual, float[] expected) throws Mismatch {
    TensorResult gates = Compare.absolute("gates", actual, Compare.widen(expected));
    if (!gates.passed()) {
      throw new Mismatch(gates.toString());
    }
    for (int i = 0; i < expected.length; i++) {
      if ((expected[i] == 0) != (actual[i] == 0)) {
        throw new Mismatch("gate " + i + " is " + actual[i] + ", not " + expected[i]);
      }
    }
  }

  private static void requireStreams(
      HiddenStream actual,
      HiddenStream expected,
      MemorySegment mask,
      int tokens,
      int branches,
      int size,
      double sizeOfValues)
      throws Mismatch {
    float[] a = new float[size];
    float[] e = new float[size];
    for (int token = 0; token < tokens; token++) {
      for (int branch = 0; branch < branches; branch++) {
        long at = actual.at(token, branch);
        for (int i = 0; i < size; i++) {
          a[i] = actual.get(at, i);
          e[i] = expected.get(at, i);
        }
        TensorResult result =
            mask.get(JAVA_BYTE, token) == 0
                ? Compare.exact("masked stream", a, e)
                : actual.dtype() == Dtype.BF16
                    ? Compare.ulps("stream", a, e)
                    : Compare.norm("stream", a, Compare.widen(e), sizeOfValues);
        if (!result.passed()) {
          throw new Mismatch("token " + token + " branch " + branch + ": " + result);
        }
      }
    }
  }

  void conv(SplittableRandom random) throws Mismatch {
    int branches = random.nextInt(1, 5);
    int size = pick(SIZES, random);
    int kernel = random.nextInt(1, 6);
    int dilation = random.nextInt(1, 5);
    int channels = branches * size;
    ConvWeights weights =
        new ConvWeights(
            branches,
            size,
            kernel,
            dilation,
            gaussians(channels * kernel, random),
            gaussians(channels, random),
            1e-5);
    int tokens = pick(TOKENS, random);
    try (Buffers buffers = new Buffers(random)) {
      MemorySegment gated = floats(buffers, tokens * channels, random);
      MemorySegment window = floats(buffers, (tokens + weights.reach()) * channels, random);
      MemorySegment twin = buffers.copy(window);
      MemorySegment actual = buffers.allocate(4L * tokens * channels);
      MemorySegment expected = buffers.allocate(4L * tokens * channels);
      backend.conv(weights).run(gated, window, tokens, actual);
      truth.conv(weights).run(gated, twin, tokens, expected);
      requireNorm("delta", toArray(actual), toArray(expected), sizeOf(toArray(gated)));
      requireNorm("window", toArray(window), toArray(twin), 0);
      requireIntact(buffers);
    }
  }

  private static MemorySegment junk(MemorySegment segment, SplittableRandom random) {
    for (long i = 0; i < segment.byteSize(); i++) {
      segment.set(JAVA_BYTE, i, (byte) random.nextInt());
    }
    return segment;
  }

  private static float[] gaussians(int count, SplittableRandom random) {
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return values;
  }

  private static MemorySegment floats(Buffers buffers, int count, SplittableRandom random) {
    MemorySegment segment = buffers.allocate(4L * count);
    for (int i = 0; i < count; i++) {
      segment.setAtIndex(JAVA_FLOAT_UNALIGNED, i, (float) random.nextGaussian());
    }
    return segment;
  }

  private static float[] toArray(MemorySegment segment) {
    float[] values = new float[(int) (segment.byteSize() / 4)];
    MemorySegment.copy(segment, JAVA_FLOAT_UNALIGNED, 0, values, 0, values.length);
    return values;
  }

  private static void requireNorm(String what, float[] actual, float[] expected, double size)
      throws Mismatch {
    TensorResult result = Compare.norm(what, actual, Compare.widen(expected), size);
    if (!result.passed()) {
      throw new Mismatch(result.toString());
    }
  }

  private static void requireSame(String what, MemorySegment actual, MemorySegment expected)
      throws Mismatch {
    long at = actual.mismatch(expected);
    if (at >= 0) {
      throw new Mismatch(what + " differ at byte " + at + " of " + expected.byteSize());
    }
  }

  private static void requireSameFloats(
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

  private static void requireIntact(Buffers buffers) throws Mismatch {
    if (!buffers.intact()) {
      throw new Mismatch("bytes beside a buffer were written");
    }
  }
}
