package io.engram4j;

import io.engram4j.model.EngramConfig;
import java.lang.foreign.MemorySegment;

/**
 * The scratch memory between the stages of {@link EngramLayer#apply}, for one block of tokens. A
 * block bounds it: at V4.1's size a token takes 127 KB, so 64 tokens take 8 MB, and a decoded
 * weight tile of the projection serves all of them.
 */
final class Workspace {
  static final int BLOCK = 64;

  private final EngramConfig config;
  private int tokens;
  private MemorySegment rowIds = MemorySegment.NULL;
  private MemorySegment rows = MemorySegment.NULL;
  private MemorySegment kv = MemorySegment.NULL;
  private MemorySegment gates = MemorySegment.NULL;
  private MemorySegment gated = MemorySegment.NULL;
  private MemorySegment delta = MemorySegment.NULL;
  private MemorySegment window = MemorySegment.NULL;

  Workspace(EngramConfig config) {
    this.config = config;
  }

  /** Makes room for a block of so many tokens: for one, as decoding needs, or for a whole block. */
  void reserve(int blockTokens) {
    if (blockTokens <= tokens) {
      return;
    }
    tokens = Math.min(BLOCK, Integer.highestOneBit(2 * blockTokens - 1)); // a power of two
    rowIds = EngramBatch.allocate(8L * tokens * config.columns());
    rows = EngramBatch.allocate(4L * tokens * config.rowWidth());
    kv = EngramBatch.allocate(4L * tokens * config.kvWidth());
    gates = EngramBatch.allocate(4L * tokens * config.branches());
    if (config.convKernel() > 0) {
      gated = EngramBatch.allocate(4L * tokens * config.streamWidth());
      delta = EngramBatch.allocate(4L * tokens * config.streamWidth());
      int reach = (config.convKernel() - 1) * config.convDilation();
      window = EngramBatch.allocate(4L * (tokens + reach) * config.streamWidth());
    }
  }

  MemorySegment rowIds() {
    return rowIds;
  }

  MemorySegment rows() {
    return rows;
  }

  MemorySegment kv() {
    return kv;
  }

  MemorySegment gates() {
    return gates;
  }

  MemorySegment gated() {
    return gated;
  }

  MemorySegment delta() {
    return delta;
  }

  MemorySegment window() {
    return window;
  }
}
