package io.engram4j;

import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_LONG_UNALIGNED;

import io.engram4j.kernel.Backend;
import io.engram4j.model.Dtype;
import io.engram4j.table.Table;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/**
 * Rows of one table on their way to the stage gather: fetched as they are, scales behind each, then
 * widened by the backend's kernel from here. For tables that are not in memory, and for rows that
 * are fetched ahead. Grows to the largest count and then allocates nothing. For one thread at a
 * time.
 */
final class Staging {
  private final Table table;
  private long capacity;
  private MemorySegment rows = MemorySegment.NULL;
  private MemorySegment places = MemorySegment.NULL; // of wanted rows in rows, or -1
  private @Nullable Table staged;
  private @Nullable Backend backend;
  private Backend.@Nullable Gather kernel;

  Staging(Table table) {
    this.table = table;
  }

  private void reserve(long count) {
    if (count <= capacity) {
      return;
    }
    capacity = Math.max(count, 2 * capacity);
    rows = EngramBatch.allocate(capacity * table.rowBytes());
    places = EngramBatch.allocate(8 * capacity);
    staged = Table.interleaved(table.name(), table.type(), capacity, table.headDim(), rows);
    kernel = null;
  }

  /** Fetches the rows of ids, in their order. */
  void fetch(MemorySegment rowIds, long count) {
    reserve(count);
    table.read(rowIds, count, rows);
    for (long i = 0; i < count; i++) {
      long row = rowIds.getAtIndex(JAVA_LONG_UNALIGNED, i);
      places.setAtIndex(JAVA_LONG, i, row < 0 ? -1 : i);
    }
  }

  /** Widens {@code count} of the fetched rows, from the {@code first} on. */
  void gather(Backend on, long first, long count, MemorySegment out, Dtype outType) {
    Backend.Gather gather = kernel;
    Table from = staged;
    if (from == null) {
      return; // nothing was ever wanted
    }
    if (gather == null || backend != on) {
      gather = on.gather(from);
      kernel = gather;
      backend = on;
    }
    gather.run(first == 0 ? places : places.asSlice(8 * first), count, out, outType);
  }
}
