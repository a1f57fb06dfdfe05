package io.engram4j.tck;

import static java.lang.foreign.ValueLayout.JAVA_LONG_UNALIGNED;

import io.engram4j.kernel.Backend;
import io.engram4j.model.Dtype;
import io.engram4j.table.RowType;
import io.engram4j.table.Shard;
import io.engram4j.table.Table;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/** Rows of random tables, of every dtype and every code, and ids outside of them. */
final class GatherCases extends Cases implements Cases.Exact {
  /** Scales of a whole table: a published one among them. */
  private static final float[] FACTORS = {1, 209 * 0x1p-20f, -3, 1e30f, 0x1p-140f};

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
      Table table = table(buffers, type, rows, headDim, random);
      MemorySegment ids = buffers.allocate(8L * count);
      for (int i = 0; i < count; i++) {
        long id = random.nextInt(6) == 0 ? rows - 1 : random.nextLong(-1, rows);
        ids.setAtIndex(JAVA_LONG_UNALIGNED, i, id);
      }
      MemorySegment actual = buffers.allocate((long) count * headDim * outType.bytes());
      MemorySegment expected = buffers.allocate((long) count * headDim * outType.bytes());
      backend.gather(table, buffers.arena()).run(ids, count, actual, outType);
      truth.gather(table, buffers.arena()).run(ids, count, expected, outType);
      requireSameFloats("rows of " + type + ", " + headDim + " wide,", actual, expected, outType);
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

  /** Random bytes in one place or several, interleaved or not. */
  private static Table table(
      Buffers buffers, RowType type, long rows, int headDim, SplittableRandom random) {
    Table table =
        random.nextInt(3) == 0
            ? Table.interleaved(
                "table",
                type,
                rows,
                headDim,
                junk(buffers.allocate(rows * type.rowBytes(headDim)), random))
            : Table.sharded(
                "table", type, rows, headDim, shards(buffers, type, rows, headDim, random));
    return type.hasFactor() ? table.withFactor(FACTORS[random.nextInt(FACTORS.length)]) : table;
  }

  private static List<Shard> shards(
      Buffers buffers, RowType type, long rows, int headDim, SplittableRandom random) {
    List<Shard> shards = new ArrayList<>();
    boolean several = random.nextBoolean();
    for (long first = 0; first < rows; ) {
      long some = several ? random.nextLong(1, rows - first + 1) : rows;
      shards.add(
          new Shard(
              first,
              junk(buffers.allocate(some * type.elementBytes(headDim)), random),
              type.hasScalesBeside()
                  ? junk(buffers.allocate(some * type.scaleBytes(headDim)), random)
                  : null,
              type.biasBytes() > 0
                  ? junk(buffers.allocate(some * type.biasBytes(headDim)), random)
                  : null));
      first += some;
    }
    return shards;
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
