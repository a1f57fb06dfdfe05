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
      HiddenStream hidden = stream(buffers, type, tokens, branches, size, random);
      HiddenStream twin = twin(buffers, hidden);
      HiddenStream before = twin(buffers, hidden);
      MemorySegment actual = buffers.allocate(4L * tokens * branches);
      MemorySegment expected = buffers.allocate(4L * tokens * branches);
      if (random.nextBoolean()) {
        backend.gate(weights, buffers.arena()).run(kv, hidden, mask, tokens, actual, null);
        truth.gate(weights, buffers.arena()).run(kv, twin, mask, tokens, expected, null);
      } else {
        MemorySegment gated = buffers.allocate(4L * tokens * branches * size);
        MemorySegment twinGated = buffers.allocate(4L * tokens * branches * size);
        backend.gate(weights, buffers.arena()).run(kv, hidden, mask, tokens, actual, gated);
        truth.gate(weights, buffers.arena()).run(kv, twin, mask, tokens, expected, twinGated);
        requireNorm("gated values", toArray(gated), toArray(twinGated), 0);
      }
      requireGates(toArray(actual), toArray(expected));
      requireStreams(hidden, twin, before, mask, tokens, branches, size, sizeOf(toArray(kv)));
      requireIntact(buffers);
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
}
