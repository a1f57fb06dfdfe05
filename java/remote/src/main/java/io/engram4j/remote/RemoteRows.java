package io.engram4j.remote;

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
  public void read(MemorySegment rowIds, long count, MemorySegment rows) {
    if (fleet.isClosed()) {
      throw new IllegalStateException("the remote tables of " + table.name() + " are closed");
    }
    Batch batch = take();
    try {
      for (long first = 0; first < count; first += Batch.MOST_ROWS) {
        int some = (int) Math.min(Batch.MOST_ROWS, count - first);
        MemorySegment ids = first == 0 ? rowIds : rowIds.asSlice(8 * first);
        batch.run(ids, some, first == 0 ? rows : rows.asSlice(first * table.rowBytes()));
        rowsRead.add(batch.distinct());
        reads.add(batch.requests());
      }
    } finally {
      synchronized (idle) {
        idle.push(batch);
      }
    }
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
