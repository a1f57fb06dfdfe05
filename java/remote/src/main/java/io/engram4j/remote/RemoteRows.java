package io.engram4j.remote;

import io.engram4j.remote.Fleet.Generation;
import io.engram4j.remote.Manifest.SlicedTable;
import io.engram4j.table.RowSource;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.concurrent.atomic.LongAdder;

/** The rows of one table that other machines hold. Thread-safe. */
final class RemoteRows implements RowSource {
  private final SlicedTable table;
  private final Fleet fleet;
  private final FetchPool pool;
  private final RemoteOptions options;
  private final RemoteStatistics statistics;
  private final ArrayDeque<Batch> idle = new ArrayDeque<>();
  private final LongAdder rowsRead = new LongAdder();
  private final LongAdder reads = new LongAdder();

  RemoteRows(
      SlicedTable table,
      Fleet fleet,
      FetchPool pool,
      RemoteOptions options,
      RemoteStatistics statistics) {
    this.table = table;
    this.fleet = fleet;
    this.pool = pool;
    this.options = options;
    this.statistics = statistics;
  }

  @Override
  public long generation() {
    return options.pinned() ? 0 : fleet.current().number();
  }

  /** All rows of a call are of one generation, and have one deadline. */
  @Override
  public void read(MemorySegment rowIds, long count, MemorySegment rows) {
    if (fleet.isClosed()) {
      throw new IllegalStateException("the remote tables of " + table.name() + " are closed");
    }
    long until = System.nanoTime() + options.deadline().toNanos();
    Batch batch = take();
    try {
      while (!readAll(batch, rowIds, count, rows, fleet.current(), until)) {
        Thread.onSpinWait(); // of the next generation, then
      }
    } finally {
      synchronized (idle) {
        idle.push(batch);
      }
    }
  }

  private boolean readAll(
      Batch batch,
      MemorySegment rowIds,
      long count,
      MemorySegment rows,
      Generation generation,
      long until) {
    for (long first = 0; first < count; first += Batch.MOST_ROWS) {
      int some = (int) Math.min(Batch.MOST_ROWS, count - first);
      MemorySegment ids = first == 0 ? rowIds : rowIds.asSlice(8 * first);
      MemorySegment to = first == 0 ? rows : rows.asSlice(first * table.rowBytes());
      if (!batch.run(ids, some, to, generation, until)) {
        return false;
      }
      rowsRead.add(batch.distinct());
      reads.add(batch.requests());
    }
    return true;
  }

  private Batch take() {
    synchronized (idle) {
      if (!idle.isEmpty()) {
        return idle.pop();
      }
    }
    return new Batch(table, fleet, pool, options, statistics);
  }

  @Override
  public Statistics statistics() {
    long rows = rowsRead.sum();
    return new Statistics(rows, reads.sum(), rows * table.rowBytes(), 0, 0, 0, 0, 0, 0);
  }
}
