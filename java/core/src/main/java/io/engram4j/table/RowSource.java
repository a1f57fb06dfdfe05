package io.engram4j.table;

import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

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

  /** Rows that are on their way. */
  interface Reading {
    /** They are there. */
    Reading DONE = () -> {};

    /**
     * Waits until all rows are there; called once, whatever has happened since, by the thread that
     * began.
     *
     * @throws UncheckedIOException as {@link #read} does
     */
    void end();
  }

  /** Sources that are asked together, such as the tables of a model on another machine. */
  interface Group {
    /** Returns what reads of these sources are begun in. */
    Round newRound();

    /** Returns how many rows one request may want; it is of no use to read more together. */
    int mostRows();
  }

  /** Reads that a thread begins before it ends them. For one thread at a time. */
  interface Round {}

  /**
   * Begins to read, for a caller that begins more before it ends them.
   *
   * @param rowIds as for {@link #read}; unchanged until the end
   * @param rows as for {@link #read}; written until the end
   * @param round of this source's group: its reads may wait for the first of them to be ended, and
   *     go together then. Null to read these rows alone
   * @throws IllegalArgumentException if the round is of another group
   * @throws IllegalStateException if the reader is closed
   */
  default Reading begin(
      MemorySegment rowIds, long count, MemorySegment rows, @Nullable Round round) {
    read(rowIds, count, rows);
    return Reading.DONE;
  }

  /**
   * Returns the sources that are asked together with this one; null if it gains nothing by that, so
   * that threads had better read side by side.
   */
  default @Nullable Group group() {
    return null;
  }

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
