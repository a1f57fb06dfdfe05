package io.engram4j.table.io;

import io.engram4j.table.RowSource.Statistics;
import java.io.Closeable;
import java.io.IOException;
import jdk.jfr.FlightRecorder;
import org.jspecify.annotations.Nullable;

/** Tells the flight recorder of a row cache until the table is closed. */
final class CacheWatch implements Closeable {
  private final Runnable hook;
  private final @Nullable Closeable files;

  /** Begins; {@code files} are closed with it. */
  CacheWatch(String table, RowCache cache, @Nullable Closeable files) {
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
    if (files != null) {
      files.close();
    }
  }
}
