package io.engram4j.table;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_LONG_UNALIGNED;

import java.lang.foreign.MemorySegment;
import java.util.function.LongFunction;

/** Copies rows that are in memory, each with its scales and biases behind it. */
final class RowCopy {
  private static final int BURST = 16; // rows whose misses are under way at once
  private static final int LINE = 64;

  private final LongFunction<Shard> shards; // by a row's id
  private final boolean interleaved;
  private final long weightStride;
  private final long scaleStride;
  private final long biasStride;
  private final long elementBytes;
  private final long scaleBytes;
  private final long biasBytes;
  private final long rowBytes;

  /** Rows of a type, as far apart as strides say; those of interleaved ones are whole. */
  RowCopy(
      LongFunction<Shard> shards,
      RowType type,
      int headDim,
      long weightStride,
      long scaleStride,
      long biasStride,
      boolean interleaved) {
    this.shards = shards;
    this.interleaved = interleaved;
    this.weightStride = weightStride;
    this.scaleStride = scaleStride;
    this.biasStride = biasStride;
    this.elementBytes = type.elementBytes(headDim);
    this.scaleBytes = type.scaleBytes(headDim);
    this.biasBytes = type.biasBytes(headDim);
    this.rowBytes = type.rowBytes(headDim);
  }

  /** Copies rows; what stands for -1 is left as it is. */
  void copy(MemorySegment rowIds, long count, MemorySegment rows) {
    for (long from = 0; from < count; from += BURST) {
      long to = Math.min(count, from + BURST);
      if (count > 1) {
        touch(rowIds, from, to);
      }
      for (long i = from; i < to; i++) {
        long id = rowIds.getAtIndex(JAVA_LONG_UNALIGNED, i);
        if (id >= 0) {
          copy(id, rows, i * rowBytes);
        }
      }
    }
  }

  private void copy(long id, MemorySegment rows, long to) {
    Shard shard = shards.apply(id);
    long row = id - shard.first();
    if (interleaved) {
      MemorySegment.copy(shard.weight(), row * weightStride, rows, to, rowBytes);
      return;
    }
    MemorySegment.copy(shard.weight(), row * weightStride, rows, to, elementBytes);
    if (shard.scale() != null) {
      MemorySegment.copy(shard.scale(), row * scaleStride, rows, to + elementBytes, scaleBytes);
    }
    if (shard.bias() != null) {
      long at = to + elementBytes + scaleBytes;
      MemorySegment.copy(shard.bias(), row * biasStride, rows, at, biasBytes);
    }
  }

  /**
   * Reads a byte of each cache line of rows, so that their misses do not wait for each other: a
   * copy of rows that are in no cache is fetched one after the other. 49,152 rows of 0.5 GB took
   * 5.7 ms in place of 14.4 (docs/remote.md).
   */
  private void touch(MemorySegment rowIds, long from, long to) {
    long bytes = interleaved ? rowBytes : elementBytes;
    int sum = 0;
    for (long i = from; i < to; i++) {
      long id = rowIds.getAtIndex(JAVA_LONG_UNALIGNED, i);
      if (id < 0) {
        continue;
      }
      Shard shard = shards.apply(id);
      long at = (id - shard.first()) * weightStride;
      for (long line = 0; line < bytes; line += LINE) {
        sum += shard.weight().get(JAVA_BYTE, at + line);
      }
    }
    if (sum == Integer.MIN_VALUE) { // never; it keeps the reads
      Thread.onSpinWait();
    }
  }
}
