package io.engram4j.tck;

import static java.lang.foreign.ValueLayout.JAVA_INT_UNALIGNED;

import io.engram4j.kernel.Backend;
import io.engram4j.kernel.StagewiseLookup;
import io.engram4j.model.Dtype;
import io.engram4j.model.LayerLayout;
import io.engram4j.table.RowType;
import io.engram4j.table.Table;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.util.List;
import java.util.SplittableRandom;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/** Row ids and rows of all layers of random small models at once. */
final class LookupCases extends Cases {
  private static final List<RowType> TYPES = List.of(RowType.values());

  LookupCases(Backend backend, @Nullable Function<Arena, SegmentAllocator> memory) {
    super(backend, memory);
  }

  @Override
  void one(SplittableRandom random) throws Mismatch {
    List<Integer> ids = random.nextBoolean() ? List.of(2) : List.of(1, 15, 22);
    int heads = random.nextInt(1, 10);
    List<Long> starts = List.of(random.nextLong(2, 60), random.nextLong(2, 60));
    int compressed = random.nextInt(2, 1000);
    List<LayerLayout> layouts = HashCases.layouts(random, ids, starts, heads, compressed);
    int headDim = pick(new int[] {8, 32, 64, 256}, random);
    int tokens = pick(TOKENS, random);
    try (Buffers buffers = buffers(random)) {
      List<Table> tables =
          layouts.stream().map(layout -> table(buffers, layout.rows(), headDim, random)).toList();
      int columns = layouts.getFirst().columns();
      int window = layouts.getFirst().maxNgram();
      MemorySegment windows = buffers.allocate(4L * tokens * window);
      for (long i = 0; i < (long) tokens * window; i++) {
        windows.setAtIndex(JAVA_INT_UNALIGNED, i, random.nextInt(compressed));
      }
      Dtype outType = random.nextBoolean() ? Dtype.F32 : Dtype.BF16;
      long count = (long) layouts.size() * tokens * columns;
      MemorySegment actualIds = buffers.allocate(8 * count);
      MemorySegment expectedIds = buffers.allocate(8 * count);
      MemorySegment actual = buffers.allocate(count * headDim * outType.bytes());
      MemorySegment expected = buffers.allocate(count * headDim * outType.bytes());
      Arena arena = buffers.arena();
      StagewiseLookup.orOwn(backend, layouts, tables, arena)
          .run(windows, tokens, actualIds, actual, outType);
      new StagewiseLookup(truth, layouts, tables, arena)
          .run(windows, tokens, expectedIds, expected, outType);
      requireSame("row ids", actualIds, expectedIds);
      requireSameFloats("rows", actual, expected, outType);
      requireIntact(buffers);
    }
  }

  private static Table table(Buffers buffers, long rows, int headDim, SplittableRandom random) {
    RowType type = TYPES.get(random.nextInt(TYPES.size()));
    MemorySegment data = buffers.allocate(rows * type.rowBytes(headDim));
    return Table.interleaved("table", type, rows, headDim, junk(data, random));
  }
}
