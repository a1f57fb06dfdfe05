package io.engram4j.table.io;

import io.engram4j.table.RowSource.Statistics;
import java.io.Closeable;
import java.io.IOException;
import jdk.jfr.FlightRecorder;
import org.jspecify.annotations.Nullable;

/** A row cache until its table is closed: tells the flight recorder of it, and closes it. */
final class CacheWatch implements Closeable {
  private final Runnable hook;
  private final RowCache cache;
  private final @Nullable Closeable files;

  /** Begins; {@code files} are closed with it. */
  CacheWatch(String table, RowCache cache, @Nullable Closeable files) {
    this.cache = cache;
    this.files = files;
    this.hook = () -> tell(table, cache);
    FlightRecorder.addPeriodicEvent(RowCacheEvent.class, hook);
  }

  private static void tell(String table, RowCache cache) {
    RowCacheEvent event = new RowCacheEvent();
    Statistics statistics = cache.statistics();
    event.table = table;
    event.hits = statistics.hits();
    event.misses = statistics.misses();
    event.evictions = statistics.evictions();
    event.bytes = statistics.cachedBytes();
    event.commit();
  }

  @Override
  public void close() throws IOException {
    FlightRecorder.removePeriodicEvent(hook);
    try (files) {
      cache.close();
    }
  }
}
