package io.engram4j.remote;

import io.engram4j.remote.Manifest.SlicedTable;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.function.LongConsumer;

/**
 * A kind of server that can hold rows, chosen by the scheme of an address. Found as a service; one
 * entry and one module for each.
 */
public interface RowEngine {
  /** Returns the schemes of the addresses that it takes, such as {@code redis}. */
  List<String> schemes();

  /**
   * Connects to an endpoint.
   *
   * @param address such as {@code redis://host:6379}
   * @throws IOException if it cannot be reached, or serves no tables
   * @throws IllegalArgumentException if the address is not one
   */
  RowServer connect(String address, RemoteOptions options) throws IOException;

  /**
   * Puts a model's rows into an engine that holds rows itself, and has them served when all are
   * there. Ended in the midst and called again, it goes on where it was.
   *
   * @param rows gives them
   * @param threads how many read and send at once
   * @param progress hears of bytes of rows that are there, from any thread
   * @throws IOException if they cannot be read or sent, or there is no room
   * @throws UnsupportedOperationException if the engine serves files
   */
  default void load(
      String address, Manifest manifest, RowReader rows, int threads, LongConsumer progress)
      throws IOException {
    throw new UnsupportedOperationException(
        Addresses.shown(address)
            + " holds no rows of its own; let its servers serve the slices of a directory");
  }

  /** Gives rows that lie one after the other. Thread-safe. */
  interface RowReader {
    /** Reads rows of a table, [count, rowBytes]. */
    void read(SlicedTable table, long first, int count, MemorySegment to) throws IOException;
  }
}
