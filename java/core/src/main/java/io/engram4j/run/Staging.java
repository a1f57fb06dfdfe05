package io.engram4j.run;

import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_LONG_UNALIGNED;

import io.engram4j.host.Buffer;
import io.engram4j.kernel.Backend;
import io.engram4j.model.Dtype;
import io.engram4j.table.RowSource;
import io.engram4j.table.Table;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/**
 * Rows of one table on their way to the stage gather: fetched as they are, scales behind each, then
 * widened by the backend's kernel from here. For tables that are not in memory, and for rows that
 * are fetched ahead. Grows to the largest count and then allocates nothing. For one thread at a
 * time.
 */
public final class Staging implements AutoCloseable {
  private final Table table;
  private final Buffer rows = new Buffer();
  private final Buffer places = new Buffer(); // of wanted rows in rows, or -1
  private RowSource.Reading reading = RowSource.Reading.DONE;
  private long capacity;
  private @Nullable Backend backend;
  private Backend.@Nullable Gather kernel; // on the rows as they lie now
  private @Nullable Arena arena; // the kernel's

  /** No rows yet. */
  public Staging(Table table) {
    this.table = table;
  }

  private void reserve(long count) {
    if (count <= capacity) {
      return;
    }
    forgetKernel();
    long more = Math.max(count, 2 * capacity);
    rows.reserve(more * table.rowBytes());
    places.reserve(8 * more);
    capacity = more;
  }

  private void forgetKernel() {
    kernel = null;
    Arena old = arena;
    arena = null;
    if (old != null) {
      old.close();
    }
  }

  /** Fetches the rows of ids, in their order. */
  public void fetch(MemorySegment rowIds, long count) {
    begin(rowIds, count, null);
    end();
  }

  /** Begins to fetch; ids stay as they are until the end. */
  void begin(MemorySegment rowIds, long count, RowSource.@Nullable Round round) {
    endLeft();
    reserve(count);
    MemorySegment to = places.get();
    for (long i = 0; i < count; i++) {
      long row = rowIds.getAtIndex(JAVA_LONG_UNALIGNED, i);
      to.setAtIndex(JAVA_LONG, i, row < 0 ? -1 : i);
    }
    reading = table.begin(rowIds, count, rows.get(), round);
  }

  /** Waits for the rows; does nothing if none were begun. */
  void end() {
    RowSource.Reading begun = reading;
    reading = RowSource.Reading.DONE;
    begun.end();
  }

  /** Ends what a thread has left that ran out of stack: nobody wants these rows. */
  private void endLeft() {
    try {
      end();
    } catch (RuntimeException e) {
      return; // it was told, or is of no interest
    }
  }

  /** Widens {@code count} of the fetched rows, from the {@code first} on. */
  public void gather(Backend on, long first, long count, MemorySegment out, Dtype outType) {
    if (capacity == 0) {
      return; // nothing was ever wanted
    }
    MemorySegment from = places.get();
    kernel(on).run(first == 0 ? from : from.asSlice(8 * first), count, out, outType);
  }

  private Backend.Gather kernel(Backend on) {
    Backend.Gather known = kernel;
    if (known != null && backend == on) {
      return known;
    }
    forgetKernel();
    Arena own = Arena.ofShared();
    arena = own;
    Table staged = table.ofRead(capacity, rows.get().asSlice(0, capacity * table.rowBytes()));
    Backend.Gather made = on.gather(staged, own);
    backend = on;
    kernel = made;
    return made;
  }

  long bytes() {
    return rows.bytes() + places.bytes();
  }

  @Override
  public void close() {
    endLeft();
    forgetKernel();
    capacity = 0;
    rows.close();
    places.close();
  }
}
