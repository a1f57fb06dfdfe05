package io.engram4j.remote;

import java.io.Closeable;
import java.io.IOException;
import org.jspecify.annotations.Nullable;

/**
 * A connection to one endpoint, which serves rows of one generation. Thread-safe.
 *
 * <p>An endpoint is whatever an address stands for: a server with one slice, or a cluster that
 * holds all.
 */
public interface RowServer extends Closeable {
  /**
   * Asks what is served just now. Called from a background thread, every few seconds and whenever a
   * request failed.
   *
   * @throws IOException if the endpoint does not answer
   */
  Manifest manifest() throws IOException;

  /** Returns whether a slice is served, of the manifest that {@link #manifest} gave last. */
  boolean serves(int layer, int slice);

  /**
   * Begins a request and returns at once, or after some hundred microseconds where {@link
   * Fetch#isAlone}. Exactly one of {@link Fetch#done} and {@link Fetch#failed} must be called for
   * it, by any thread, and not long after its deadline.
   */
  void start(Fetch fetch);

  /** Returns what those who wait for rows may drive, or null where they wait for a thread. */
  default @Nullable Driver driver() {
    return null;
  }

  /** Ends the connection; requests under way fail. */
  @Override
  void close() throws IOException;
}
