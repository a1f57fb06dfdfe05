package io.engram4j.tck;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;

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
  /** Of a gate: sums in float put a gate off by up to 7e-7, most of all near a dot product of 0. */
  private static final double RELATIVE = 2e-6;

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
      if (random.nextInt(8) == 0) { // keys whose squares, and products with a stream, overflow
        for (long i = 0; i < kv.byteSize() / 4; i++) {
          float value = kv.getAtIndex(JAVA_FLOAT_UNALIGNED, i);
          kv.setAtIndex(
              JAVA_FLOAT_UNALIGNED, i, Float.isFinite(value) ? largest(LARGE * value) : value);
        }
      }
      MemorySegment mask = buffers.allocate(tokens);
      for (int i = 0; i < tokens; i++) {
        mask.set(JAVA_BYTE, i, (byte) (random.nextInt(4) == 0 ? 0 : 1));
      }
      HiddenStream hidden = stream(buffers, type, tokens, branches, size, random);
      HiddenStream twin = twin(buffers, hidden);
      HiddenStream before = twin(buffers, hidden);
      MemorySegment actual = buffers.allocate(4L * tokens * branches);
      MemorySegment expected = buffers.allocate(4L * tokens * branches);
      MemorySegment gated = null;
      if (random.nextBoolean()) {
        backend.gate(weights, buffers.arena()).run(kv, hidden, mask, tokens, actual, null);
        truth.gate(weights, buffers.arena()).run(kv, twin, mask, tokens, expected, null);
      } else {
        gated = buffers.allocate(4L * tokens * branches * size);
        MemorySegment twinGated = buffers.allocate(4L * tokens * branches * size);
        backend.gate(weights, buffers.arena()).run(kv, hidden, mask, tokens, actual, gated);
        truth.gate(weights, buffers.arena()).run(kv, twin, mask, tokens, expected, twinGated);
        requireNorm("gated values", toArray(gated), toArray(twinGated), 0);
      }
      requireGates(toArray(actual), toArray(expected));
      if (type == Dtype.F32) {
        requireStreams(hidden, twin, before, mask, tokens, branches, size, sizeOf(toArray(kv)));
      }
      requireExact(weights, toArray(actual), toArray(kv), mask, hidden, before, gated);
      requireIntact(buffers);
    }
  }

  private static void requireGates(float[] actual, float[] expected) throws Mismatch {
    TensorResult gates = Compare.absolute("gates", actual, Compare.widen(expected));
    if (!gates.passed()) {
      throw new Mismatch(gates.toString());
    }
    for (int i = 0; i < expected.length; i++) {
      boolean near = Math.abs(actual[i] - expected[i]) <= RELATIVE * expected[i];
      if (!near && !Float.isNaN(expected[i])) {
        throw new Mismatch("gate " + i + " is " + actual[i] + ", not " + expected[i]);
      }
    }
  }

  /**
   * What follows from a gate has one right value: product and sum rounded to float, the sum to the
   * stream's type. To compare it with another gate's would say little where a stream nearly
   * cancels: what is left of it there is the last step of a gate.
   */
  private static void requireExact(
      GateWeights weights,
      float[] gates,
      float[] kv,
      MemorySegment mask,
      HiddenStream after,
      HiddenStream before,
      @Nullable MemorySegment gated)
      throws Mismatch {
    int size = weights.hiddenSize();
    int branches = weights.branches();
    for (int at = 0; at < gates.length; at++) {
      int token = at / branches;
      boolean live = mask.get(JAVA_BYTE, token) != 0;
      long stream = after.at(token, at % branches);
      for (int i = 0; i < size; i++) {
        float value = kv[(token * (branches + 1) + branches) * size + i];
        float product = live ? gates[at] * value : 0;
        if (gated != null) {
          float actual = gated.getAtIndex(JAVA_FLOAT_UNALIGNED, (long) at * size + i);
          requireSame("gated value", at, i, actual, product);
        } else if (live) {
          before.set(stream, i, before.get(stream, i) + product);
        }
        requireSame("stream", at, i, after.get(stream, i), before.get(stream, i));
      }
    }
  }

  private static void requireSame(String what, int gate, int i, float actual, float expected)
      throws Mismatch {
    if (Float.floatToIntBits(actual) != Float.floatToIntBits(expected)) {
      String where = what + " of gate " + gate + ", element " + i + ": ";
      throw new Mismatch(where + actual + ", not " + expected);
    }
  }
}
