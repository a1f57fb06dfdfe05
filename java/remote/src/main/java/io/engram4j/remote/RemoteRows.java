package io.engram4j.remote;

import io.engram4j.remote.Manifest.SlicedTable;
import io.engram4j.table.RowSource;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.concurrent.atomic.LongAdder;
import org.jspecify.annotations.Nullable;

/** The rows of one table that other machines hold. Thread-safe. */
final class RemoteRows implements RowSource {
  private final SlicedTable table;
  private final Fleet fleet;
  private final FetchPool pool;
  private final RemoteOptions options;
  private final RemoteStatistics statistics;
  private final ArrayDeque<RemoteReading> idle = new ArrayDeque<>();
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

  /** Rows of one model's tables: an endpoint that has several is asked once for all. */
  @Override
  public Group group() {
    return fleet;
  }

  @Override
  public void read(MemorySegment rowIds, long count, MemorySegment rows) {
    begin(rowIds, count, rows, null).end();
  }

  /** All rows of a call are of one generation, and have one deadline. */
  @Override
  public Reading begin(
      MemorySegment rowIds, long count, MemorySegment rows, @Nullable Round round) {
    if (round != null && (!(round instanceof RemoteRound of) || of.fleet() != fleet)) {
      throw new IllegalArgumentException("the round is not of the tables of " + table.name());
    }
    if (fleet.isClosed()) {
      throw new IllegalStateException("the remote tables of " + table.name() + " are closed");
    }
    long until = System.nanoTime() + options.deadline().toNanos();
    RemoteReading reading = take();
    reading.begin(rowIds, count, rows, until, (RemoteRound) round);
    return reading;
  }

  private RemoteReading take() {
    synchronized (idle) {
      if (!idle.isEmpty()) {
        return idle.pop();
      }
    }
    Batch batch = new Batch(table, fleet, pool, options, statistics);
    return new RemoteReading(this, batch, fleet);
  }

  void add(RemoteReading reading) {
    synchronized (idle) {
      idle.push(reading);
    }
  }

  void count(Batch batch) {
    rowsRead.add(batch.distinct());
    reads.add(batch.requests());
  }

  @Override
  public Statistics statistics() {
    long rows = rowsRead.sum();
    return new Statistics(rows, reads.sum(), rows * table.rowBytes(), 0, 0, 0, 0, 0, 0);
  }
}
