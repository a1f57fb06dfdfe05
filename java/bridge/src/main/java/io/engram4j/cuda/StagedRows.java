package io.engram4j.cuda;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.engram4j.EngramLayer;
import io.engram4j.bindings.cuda.EngramCuda;
import io.engram4j.bridge.Plans;
import io.engram4j.run.Windows;
import io.engram4j.table.Table;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;

/**
 * A layer's rows on their way through the host: read as they are into pinned memory, copied to the
 * device, and widened there. For tables that the device cannot read itself.
 */
final class StagedRows {
  private final EngramLayer layer;
  private final Table table;
  private final MemorySegment hostIds;
  private final MemorySegment hostRows;
  private final MemorySegment ids;
  private final MemorySegment rows;
  private final MemorySegment plan;

  StagedRows(CudaModel.Layer layer, int maxTokens, DeviceMemory memory) {
    this.layer = layer.layer();
    this.table = layer.table().table();
    long count = (long) maxTokens * this.layer.layout().columns();
    long bytes = count * table.rowBytes();
    this.hostIds = memory.pinned(8 * count);
    this.hostRows = memory.pinned(bytes);
    this.ids = memory.allocate(8 * count);
    this.rows = memory.allocate(bytes);
    Table staged = table.ofRead(count, hostRows);
    Plans plans =
        new Plans(
            memory.structs(),
            part -> MemorySegment.ofAddress(rows.address() + part.address() - hostRows.address()));
    this.plan = plans.table(staged);
  }

  /** Reads a batch's rows; the host's memory must be free. */
  void read(Windows batch) {
    long count = (long) batch.tokens() * layer.layout().columns();
    layer.hash(batch, hostIds);
    try {
      table.read(hostIds, count, hostRows);
    } catch (InternalError e) { // what HotSpot makes of a mapped page that is gone
      throw new UncheckedIOException(
          new IOException("reading " + table.name() + " failed: has its file shrunk?", e));
    }
    for (long i = 0; i < count; i++) {
      hostIds.setAtIndex(JAVA_LONG, i, i); // the place of its row; hashes are never -1
    }
  }

  /** Queues the copies of what was read for so many tokens. */
  void send(int tokens, CudaStream stream) {
    long count = (long) tokens * layer.layout().columns();
    stream.copy(ids, hostIds, 8 * count);
    stream.copy(rows, hostRows, count * table.rowBytes());
  }

  /** Queues the gathering behind them. */
  void gather(int tokens, CudaStream stream, MemorySegment out, int outType) {
    CudaLibrary.check(
        "engram_cuda_gather",
        EngramCuda.engram_cuda_gather(
            stream.queue(),
            plan,
            MemorySegment.NULL,
            ids,
            (long) tokens * layer.layout().columns(),
            out,
            outType,
            MemorySegment.NULL));
  }
}
