package io.engram4j.tck;

import static java.lang.foreign.ValueLayout.JAVA_LONG_UNALIGNED;

import io.engram4j.kernel.Backend;
import io.engram4j.model.Dtype;
import io.engram4j.table.RowType;
import io.engram4j.table.Table;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.util.SplittableRandom;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/** Rows of random tables, of every dtype and every code, and ids outside of them. */
final class GatherCases extends Cases implements Cases.Exact {
  GatherCases(Backend backend, @Nullable Function<Arena, SegmentAllocator> memory) {
    super(backend, memory);
  }

  @Override
  void one(SplittableRandom random) throws Mismatch {
    // fp8, which published tables have, as often as any two others
    RowType[] all = RowType.values();
    int one = random.nextInt(all.length + 1);
    RowType type = one < all.length ? all[one] : RowType.F8_E4M3;
    int headDim = random.nextInt(4) == 0 ? 256 : pick(SIZES, random);
    int count = pick(TOKENS, random) * pick(new int[] {1, 3, 24}, random);
    compare(type, random.nextInt(1, 50), headDim, count, random);
  }

  /** Rows of V4.1's and the paper's width, every dtype in turn; returns the number of rows. */
  @Override
  public int many(SplittableRandom random, long count) throws Mismatch {
    RowType[] types = RowType.values();
    int done = 0;
    for (int turn = 0; done < count; turn++, done += 5000) {
      compare(
          types[turn % types.length], 1000, turn / types.length % 2 == 0 ? 32 : 256, 5000, random);
    }
    return done;
  }

  private void compare(RowType type, long rows, int headDim, int count, SplittableRandom random)
      throws Mismatch {
    Dtype outType = random.nextBoolean() ? Dtype.F32 : Dtype.BF16;
    try (Buffers buffers = buffers(random)) {
      MemorySegment weight = junk(buffers.allocate(rows * type.elementBytes(headDim)), random);
      MemorySegment scale = junk(buffers.allocate(rows * type.scaleBytes(headDim)), random);
      Table table =
          random.nextBoolean()
              ? interleaved(buffers, type, rows, headDim, random)
              : Table.of(
                  "table", type, rows, headDim, weight, type.hasScalesBeside() ? scale : null);
      MemorySegment ids = buffers.allocate(8L * count);
      for (int i = 0; i < count; i++) {
        long id = random.nextInt(6) == 0 ? rows - 1 : random.nextLong(-1, rows);
        ids.setAtIndex(JAVA_LONG_UNALIGNED, i, id);
      }
      MemorySegment actual = buffers.allocate((long) count * headDim * outType.bytes());
      MemorySegment expected = buffers.allocate((long) count * headDim * outType.bytes());
      backend.gather(table, buffers.arena()).run(ids, count, actual, outType);
      truth.gather(table, buffers.arena()).run(ids, count, expected, outType);
      requireSameFloats("rows", actual, expected, outType);
      requireIntact(buffers);
      if (count > 0) {
        long bad = random.nextBoolean() ? rows + random.nextLong(1L << 40) : -2 - random.nextInt(9);
        ids.setAtIndex(JAVA_LONG_UNALIGNED, random.nextInt(count), bad);
        requireRefused(
            () -> backend.gather(table, buffers.arena()).run(ids, count, actual, outType), bad);
        requireIntact(buffers);
      }
    }
  }

  private static Table interleaved(
      Buffers buffers, RowType type, long rows, int headDim, SplittableRandom random) {
    MemorySegment data = buffers.allocate(rows * type.rowBytes(headDim));
    return Table.interleaved("table", type, rows, headDim, junk(data, random));
  }

  private static void requireRefused(Runnable gather, long id) throws Mismatch {
    try {
      gather.run();
    } catch (IndexOutOfBoundsException e) {
      return;
    }
    throw new Mismatch("row id " + id + " was not refused");
  }
}
