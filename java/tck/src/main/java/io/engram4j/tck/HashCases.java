package io.engram4j.tck;

import static java.lang.foreign.ValueLayout.JAVA_INT_UNALIGNED;

import io.engram4j.kernel.Backend;
import io.engram4j.model.EngramConfig;
import io.engram4j.model.EngramLayout;
import io.engram4j.model.LayerLayout;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/** Row ids of random layouts and windows. */
final class HashCases extends Cases implements Cases.Exact {
  HashCases(Backend backend, @Nullable Function<Arena, SegmentAllocator> memory) {
    super(backend, memory);
  }

  @Override
  void one(SplittableRandom random) throws Mismatch {
    int compressed = 1 << random.nextInt(0, 30);
    compressed -= random.nextInt(0, (compressed + 1) / 2);
    int maxNgram = random.nextInt(2, 7);
    List<Long> starts = new ArrayList<>();
    for (int order = 2; order <= maxNgram; order++) {
      starts.add(random.nextLong(1, 1L << random.nextInt(1, 32)));
    }
    compare(
        layout(random, starts, random.nextInt(1, 20), compressed),
        compressed,
        pick(TOKENS, random),
        random);
  }

  /** V4.1's columns over many tokens; returns the number of row ids. */
  @Override
  public int many(SplittableRandom random, long count) throws Mismatch {
    int done = 0;
    while (done < count) {
      int compressed = random.nextInt(90_000, 120_000);
      long start = random.nextLong(1 << 13, 1L << 27);
      LayerLayout layout = layout(random, List.of(start, start + 7, start), 8, compressed);
      compare(layout, compressed, 4096, random);
      done += 4096 * layout.columns();
    }
    return done;
  }

  private static LayerLayout layout(
      SplittableRandom random, List<Long> starts, int heads, int compressed) {
    List<Integer> layer = List.of(random.nextInt(0, 100));
    return layouts(random, layer, starts, heads, compressed).getFirst();
  }

  static List<LayerLayout> layouts(
      SplittableRandom random, List<Integer> layers, List<Long> starts, int heads, int compressed) {
    EngramConfig config =
        EngramConfig.builder()
            .hiddenSize(8)
            .branches(1)
            .layerIds(layers)
            .ngrams(starts.size() + 1, starts)
            .heads(heads, 8)
            .seed(random.nextInt(0, 1000))
            .build();
    return EngramLayout.of(config, compressed);
  }

  private void compare(LayerLayout layout, int compressed, int tokens, SplittableRandom random)
      throws Mismatch {
    int maxNgram = layout.maxNgram();
    try (Buffers buffers = buffers(random)) {
      MemorySegment windows = buffers.allocate(4L * tokens * maxNgram);
      for (long i = 0; i < (long) tokens * maxNgram; i++) {
        // the ends of the range as often as its middle
        int id = random.nextInt(8) == 0 ? compressed - 1 : random.nextInt(compressed);
        windows.setAtIndex(JAVA_INT_UNALIGNED, i, random.nextInt(8) == 0 ? 0 : id);
      }
      MemorySegment actual = buffers.allocate(8L * tokens * layout.columns());
      MemorySegment expected = buffers.allocate(8L * tokens * layout.columns());
      backend.hash(layout, buffers.arena()).run(windows, tokens, actual);
      truth.hash(layout, buffers.arena()).run(windows, tokens, expected);
      requireSame("row ids", actual, expected);
      requireIntact(buffers);
    }
  }
}
