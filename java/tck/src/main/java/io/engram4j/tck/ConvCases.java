package io.engram4j.tck;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;

import io.engram4j.kernel.Backend;
import io.engram4j.model.Dtype;
import io.engram4j.model.HiddenStream;
import io.engram4j.weights.ConvWeights;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.util.SplittableRandom;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/** Convolutions of random shapes. */
final class ConvCases extends Cases {
  ConvCases(Backend backend, @Nullable Function<Arena, SegmentAllocator> memory) {
    super(backend, memory);
  }

  @Override
  void one(SplittableRandom random) throws Mismatch {
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
    Dtype type = random.nextBoolean() ? Dtype.F32 : Dtype.BF16;
    int first = weights.reach() + random.nextInt(3); // rows before are another's
    try (Buffers buffers = buffers(random)) {
      MemorySegment gated = floats(buffers, tokens * channels, random);
      MemorySegment window = floats(buffers, (tokens + first) * channels, random);
      MemorySegment mask = buffers.allocate(tokens);
      for (int i = 0; i < tokens; i++) {
        mask.set(JAVA_BYTE, i, (byte) (random.nextInt(4) == 0 ? 0 : 1));
      }
      HiddenStream hidden = stream(buffers, type, tokens, branches, size, random);
      MemorySegment twinGated = buffers.copy(gated);
      MemorySegment twinWindow = buffers.copy(window);
      HiddenStream twin = twin(buffers, hidden);
      HiddenStream before = twin(buffers, hidden);
      double values = sizeOf(toArray(gated));
      float[] added = toArray(gated);
      backend.conv(weights, buffers.arena()).run(gated, window, first, mask, tokens, hidden);
      truth.conv(weights, buffers.arena()).run(twinGated, twinWindow, first, mask, tokens, twin);
      requireNorm("delta", toArray(gated), toArray(twinGated), values);
      requireNorm("window", toArray(window), toArray(twinWindow), 0);
      for (int token = 0; token < tokens; token++) {
        float[] terms = terms(weights, toArray(twinWindow), first, token);
        for (int c = 0; c < channels; c++) {
          terms[c] += Math.abs(added[token * channels + c]);
        }
        widen(before, token, branches, size, terms);
      }
      requireStreams(hidden, twin, before, mask, tokens, branches, size, values);
      requireIntact(buffers);
    }
  }

  /** The absolute values of what a token's channels sum, which bounds how its sums may differ. */
  private static float[] terms(ConvWeights weights, float[] window, int first, int token) {
    int channels = weights.channels();
    float[] terms = new float[channels];
    for (int c = 0; c < channels; c++) {
      for (int tap = 0; tap < weights.kernel(); tap++) {
        int row = first + token - weights.dilation() * (weights.kernel() - 1 - tap);
        float product = weights.tap(c, tap) * window[row * channels + c];
        terms[c] += 2 * Math.abs(product); // SiLU is as steep as 1.1, and its argument is rounded
      }
    }
    return terms;
  }

  /** Adds to the absolute values of what was in a token's stream. */
  private static void widen(HiddenStream before, int token, int branches, int size, float[] terms) {
    for (int branch = 0; branch < branches; branch++) {
      long at = before.at(token, branch);
      for (int i = 0; i < size; i++) {
        before.set(at, i, Math.abs(before.get(at, i)) + terms[branch * size + i]);
      }
    }
  }
}
