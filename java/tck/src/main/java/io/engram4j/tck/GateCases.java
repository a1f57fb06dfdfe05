package io.engram4j.tck;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;

import io.engram4j.kernel.Backend;
import io.engram4j.model.Dtype;
import io.engram4j.model.HiddenStream;
import io.engram4j.weights.GateWeights;
import io.engram4j.weights.GateWeights.ZeroRule;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.util.SplittableRandom;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/** Gates of random streams, with NaN and infinities among keys and values. */
final class GateCases extends Cases {
  GateCases(Backend backend, @Nullable Function<Arena, SegmentAllocator> memory) {
    super(backend, memory);
  }

  @Override
  void one(SplittableRandom random) throws Mismatch {
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
    try (Buffers buffers = buffers(random)) {
      MemorySegment kv = wildFloats(buffers, tokens * (branches + 1) * size, random);
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
      HiddenStream before = new HiddenStream(buffers.copy(data), type, tokenStride, branchStride);
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
      requireStreams(hidden, twin, before, mask, tokens, branches, size, sizeOf(toArray(kv)));
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
