package io.engram4j.tck;

import io.engram4j.kernel.Backend;
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
    try (Buffers buffers = buffers(random)) {
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
}
