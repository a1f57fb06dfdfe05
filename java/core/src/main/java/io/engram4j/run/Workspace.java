package io.engram4j.run;

import io.engram4j.host.Buffer;
import io.engram4j.model.EngramConfig;
import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * The scratch memory between the stages of a layer, for one block of tokens. A block bounds it: at
 * V4.1's size a token takes 127 KB, so 128 tokens take 16 MB. Blocks of 64 left the memo so few
 * n-grams to project at once that it gained 1.14 and 2.33 on prose and source code, with 128 it was
 * 1.18 and 2.43, with 256 1.15 and 2.51 ({@code engram bench --only memo}, Zen 4, one run each).
 */
final class Workspace implements AutoCloseable {
  static final int BLOCK = 128;

  private final EngramConfig config;
  private int tokens;
  private final Buffer rowIds = new Buffer();
  private final Buffer rows = new Buffer();
  private final Buffer kv = new Buffer();
  private final Buffer gates = new Buffer();
  private final Buffer gated = new Buffer();
  private final Buffer window = new Buffer();

  Workspace(EngramConfig config) {
    this.config = config;
  }

  /** Makes room for a block of so many tokens: for one, as decoding needs, or for a whole block. */
  void reserve(int blockTokens) {
    if (blockTokens <= tokens) {
      return;
    }
    int more = Math.min(BLOCK, Integer.highestOneBit(2 * blockTokens - 1)); // a power of two
    rowIds.reserve(8L * more * config.columns());
    rows.reserve(4L * more * config.rowWidth());
    kv.reserve(4L * more * config.kvWidth());
    gates.reserve(4L * more * config.branches());
    if (config.convKernel() > 0) {
      gated.reserve(4L * more * config.streamWidth());
      int reach = (config.convKernel() - 1) * config.convDilation();
      window.reserve(4L * (more + reach) * config.streamWidth());
    }
    tokens = more; // only now: growth that failed is tried again
  }

  MemorySegment rowIds() {
    return rowIds.get();
  }

  MemorySegment rows() {
    return rows.get();
  }

  MemorySegment kv() {
    return kv.get();
  }

  MemorySegment gates() {
    return gates.get();
  }

  MemorySegment gated() {
    return gated.get();
  }

  MemorySegment window() {
    return window.get();
  }

  private List<Buffer> all() {
    return List.of(rowIds, rows, kv, gates, gated, window);
  }

  long bytes() {
    return all().stream().mapToLong(Buffer::bytes).sum();
  }

  @Override
  public void close() {
    tokens = 0;
    all().forEach(Buffer::close);
  }
}
