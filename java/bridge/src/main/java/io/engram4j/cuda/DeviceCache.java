package io.engram4j.cuda;

import io.engram4j.bindings.cuda.EngramCuda;
import io.engram4j.bindings.cuda.engram_cuda_cache;
import io.engram4j.table.Table;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;

/** Rows of one table that are wanted often, in the device's memory. */
final class DeviceCache {
  private static final int WAYS = 8;
  private static final int SEED_PART = 1 << 20; // row ids that are sent at once

  private final MemorySegment plan;
  private final MemorySegment counts;
  private final MemorySegment hostCounts;
  private final long slots;

  /**
   * An empty cache.
   *
   * @throws IllegalArgumentException if the bytes have no room for a set of rows
   */
  DeviceCache(Table table, long bytes, DeviceMemory memory, CudaStream stream) {
    long stride = (table.rowBytes() + 15) / 16 * 16; // rows then begin where wide loads may
    long sets = Math.min(1 << 30, Long.highestOneBit(bytes / (WAYS * (stride + 8))));
    if (sets < 1) {
      throw new IllegalArgumentException(
          "a cache of "
              + bytes
              + " bytes has no room for "
              + WAYS
              + " rows of "
              + table.rowBytes()
              + " bytes of "
              + table.name());
    }
    this.slots = sets * WAYS;
    MemorySegment tags = memory.allocate(8 * slots);
    this.counts = memory.allocate(16);
    this.hostCounts = memory.pinned(16);
    this.plan = engram_cuda_cache.allocate(memory.structs());
    engram_cuda_cache.struct_size(plan, (int) engram_cuda_cache.sizeof());
    engram_cuda_cache.ways(plan, WAYS);
    engram_cuda_cache.sets(plan, sets);
    engram_cuda_cache.tags(plan, tags);
    engram_cuda_cache.rows(plan, memory.allocate(slots * stride));
    engram_cuda_cache.row_stride(plan, stride);
    engram_cuda_cache.counts(plan, counts);
    stream.fill(tags, 0xff, 8 * slots);
    stream.fill(counts, 0, 16);
  }

  MemorySegment plan() {
    return plan;
  }

  /**
   * Reads rows into it that stay, the first of those that share a set first; waits until they are
   * there.
   */
  void seed(MemorySegment table, long[] rows, CudaStream stream) {
    long[] fitting = fitting(rows);
    try (DeviceMemory own = new DeviceMemory(stream.device())) {
      for (int from = 0; from < fitting.length; from += SEED_PART) {
        long[] part = Arrays.copyOfRange(fitting, from, Math.min(fitting.length, from + SEED_PART));
        MemorySegment ids = own.upload(MemorySegment.ofArray(part));
        insert(table, ids, part.length, true, stream);
      }
      stream.synchronize();
    }
  }

  /** Queues that rows come into it, behind what is queued: they must not while somebody gathers. */
  void insert(MemorySegment table, MemorySegment ids, long count, boolean stay, CudaStream stream) {
    CudaLibrary.check(
        "engram_cuda_insert",
        EngramCuda.engram_cuda_insert(stream.queue(), table, plan, ids, count, stay ? 1 : 0));
  }

  /** The rows that find a slot; on a device it would be chance which of a full set do. */
  private long[] fitting(long[] rows) {
    byte[] taken = new byte[Math.toIntExact(slots / WAYS)];
    return Arrays.stream(rows)
        .filter(row -> taken[setOf(row)] < WAYS && ++taken[setOf(row)] > 0)
        .toArray();
  }

  /** As first_slot of cache.h has it. */
  private int setOf(long row) {
    long x = row * 0x9e3779b97f4a7c15L;
    return (int) ((x ^ x >>> 32) & (slots / WAYS - 1));
  }

  /** Returns how many rows were found so far, and how many were not; waits for the stream. */
  long[] counts(CudaStream stream) {
    stream.copy(hostCounts, counts, 16);
    stream.synchronize();
    return hostCounts.toArray(ValueLayout.JAVA_LONG);
  }
}
