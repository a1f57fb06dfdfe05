package io.engram4j.host;

import java.io.Closeable;
import java.io.IOException;
import java.lang.foreign.MemorySegment;

/**
 * Open files of which the operating system reads many parts at once without a thread for each. To
 * be closed when no queue of it is in use any more. Thread-safe.
 */
public interface AsyncFiles extends Closeable {
  /** Returns whether reads go past the page cache; they must then be in whole blocks. */
  boolean isDirect();

  /** Returns the bytes of a file, by its place in the list that was opened. */
  long size(int file) throws IOException;

  /**
   * Makes a queue for one caller at a time.
   *
   * @param depth reads that may be under way at once
   * @param bytes longest read
   * @throws IOException if the system gives none, with its reason
   */
  Queue newQueue(int depth, int bytes) throws IOException;

  /** Reads under way, each in a slot with a buffer of its own. Not thread-safe. */
  interface Queue extends Closeable {
    /** Returns a slot's buffer, page-aligned; the system writes to it from begin to end. */
    MemorySegment buffer(int slot);

    /** Begins to read a part of a file into a slot's buffer, from the byte {@code at} of it on. */
    void begin(int slot, int file, long offset, int at, int bytes);

    /**
     * Waits for any read and returns its slot.
     *
     * @throws IOException if waiting itself fails; what is under way then stays so
     */
    int end() throws IOException;

    /**
     * Waits until nothing is under way, whatever a caller who did not come to an end has left.
     *
     * @throws IOException if waiting itself fails; the queue is then of no more use
     */
    void drain() throws IOException;

    /** Returns the bytes that a slot's last read brought, or the negative errno. */
    int result(int slot);
  }
}
