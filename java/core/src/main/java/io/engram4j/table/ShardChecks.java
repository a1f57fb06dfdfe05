package io.engram4j.table;

import java.lang.foreign.MemorySegment;
import java.util.List;

/** Whether the memory of a table is that of its shape: else an exception names both numbers. */
final class ShardChecks {
  private ShardChecks() {}

  /** Checks places that rows lie in, elements, scales and biases in segments of their own. */
  static void check(String name, RowType type, long rows, int headDim, List<Shard> shards) {
    if (shards.isEmpty()) {
      throw new IllegalArgumentException(name + " has no shards");
    }
    for (int i = 0; i < shards.size(); i++) {
      Shard shard = shards.get(i);
      long end = i + 1 < shards.size() ? shards.get(i + 1).first() : rows;
      String what = shards.size() == 1 ? name : name + ", shard " + i;
      if (shard.first() >= end || (i == 0 && shard.first() != 0)) {
        throw new IllegalArgumentException(
            what + " has rows " + shard.first() + " to " + (end - 1) + ", which is out of order");
      }
      if (type.hasScalesBeside() != (shard.scale() != null)) {
        throw new IllegalArgumentException(
            what
                + " of type "
                + type
                + (shard.scale() == null ? " needs scales" : " has no scales"));
      }
      if ((type.biasBytes() > 0) != (shard.bias() != null)) {
        throw new IllegalArgumentException(
            what
                + " of type "
                + type
                + (shard.bias() == null ? " needs biases" : " has no biases"));
      }
      long count = end - shard.first();
      size(
          shard.scale() == null ? what : what + " weight",
          shard.weight(),
          count,
          type.elementBytes(headDim));
      if (shard.scale() != null) {
        size(what + " scale", shard.scale(), count, type.scaleBytes(headDim));
      }
      if (shard.bias() != null) {
        size(what + " bias", shard.bias(), count, type.biasBytes(headDim));
      }
    }
  }

  /** Checks that a segment has the bytes of its rows. */
  static void size(String what, MemorySegment segment, long rows, long rowBytes) {
    if (rows < 1 || rowBytes < 1) {
      throw new IllegalArgumentException(
          what + " has " + rows + " rows of " + rowBytes + " bytes; both must be positive");
    }
    long bytes;
    try {
      bytes = Math.multiplyExact(rows, rowBytes);
    } catch (ArithmeticException e) {
      throw new IllegalArgumentException(
          what + ": " + rows + " rows of " + rowBytes + " bytes are more than 2^63 bytes", e);
    }
    if (segment.byteSize() != bytes) {
      throw new IllegalArgumentException(
          what
              + " holds "
              + segment.byteSize()
              + " bytes, but "
              + rows
              + " rows of "
              + rowBytes
              + " bytes are "
              + bytes);
    }
  }
}
