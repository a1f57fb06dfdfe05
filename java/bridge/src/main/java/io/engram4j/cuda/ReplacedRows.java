package io.engram4j.cuda;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.engram4j.EngramLayer;
import io.engram4j.model.Dtype;
import io.engram4j.run.Windows;
import io.engram4j.table.RowOverlay;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;

/**
 * Rows of an overlay on their way over those that a device has gathered: the host finds them by the
 * row ids, which it computes only while a set is on, and sends each to its place.
 */
final class ReplacedRows {
  private final EngramLayer layer;
  private final Dtype type;
  private final long rowBytes;
  private final DeviceMemory memory;
  private MemorySegment ids = MemorySegment.NULL;
  private MemorySegment rows = MemorySegment.NULL;
  private final long most;
  private long[] places = {};
  private int count;

  ReplacedRows(EngramLayer layer, int headDim, int maxTokens, Dtype type, DeviceMemory memory) {
    this.layer = layer;
    this.type = type;
    this.rowBytes = (long) headDim * type.bytes();
    this.memory = memory;
    this.most = (long) maxTokens * layer.layout().columns();
  }

  /**
   * Finds the rows of a batch that are replaced; the memory of those before must be free.
   *
   * @return whether there are any
   */
  boolean read(Windows batch, RowOverlay.Rows replaced) {
    count = 0;
    if (replaced.isEmpty()) {
      return false;
    }
    if (ids.byteSize() == 0) { // from the first set on: most models never have one
      ids = memory.pinned(8 * most);
      rows = memory.pinned(rowBytes * most);
    }
    layer.hash(batch, ids);
    long all = (long) batch.tokens() * layer.layout().columns();
    for (long i = 0; i < all; i++) {
      long element = count * rowBytes / type.bytes();
      if (replaced.write(ids.getAtIndex(JAVA_LONG, i), rows, element, type)) {
        places = count < places.length ? places : Arrays.copyOf(places, Math.max(64, 2 * count));
        places[count++] = i;
      }
    }
    return count > 0;
  }

  /** Queues the copies behind the gathering. */
  void send(CudaStream stream, MemorySegment gathered) {
    for (int i = 0; i < count; i++) {
      MemorySegment to = MemorySegment.ofAddress(gathered.address() + rowBytes * places[i]);
      stream.copy(to, rows.asSlice(rowBytes * i, rowBytes), rowBytes);
    }
  }
}
