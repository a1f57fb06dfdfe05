package io.engram4j.table;

import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;

/** Fetches rows of a table that is not in memory. Thread-safe. */
public interface RowSource {
  /**
   * Writes the rows of {@code count} ids one after the other, each with its scales behind it.
   *
   * @param rowIds int64 [count], each -1 or a row of the table, which the caller has checked; what
   *     stands for -1 is left as it is
   * @param rows [count, rowBytes], written
   * @throws UncheckedIOException naming the file, if rows cannot be read
   * @throws IllegalStateException if the reader is closed
   */
  void read(MemorySegment rowIds, long count, MemorySegment rows);

  /**
   * Returns a number that changes whenever rows may have become others, 0 where they never do. Rows
   * that were read while it stayed the same belong together.
   */
  default long generation() {
    return 0;
  }

  /** Returns what was read so far. */
  default Statistics statistics() {
    return Statistics.NONE;
  }

  /**
   * What a reader has done since it was opened.
   *
   * @param rows rows that were read from the file
   * @param reads reads that this took
   * @param bytes bytes that were read, with what lies around the rows
   * @param hits rows that a cache had
   * @param misses rows that it had not
   * @param evictions rows that it gave up for others
   * @param cachedBytes bytes of rows that it holds
   * @param cacheBytes bytes of rows that it can hold; 0 without a cache
   * @param bufferBytes bytes of memory that reads pass through
   */
  record Statistics(
      long rows,
      long reads,
      long bytes,
      long hits,
      long misses,
      long evictions,
      long cachedBytes,
      long cacheBytes,
      long bufferBytes) {
    /** Nothing yet. */
    public static final Statistics NONE = new Statistics(0, 0, 0, 0, 0, 0, 0, 0, 0);
  }
}
