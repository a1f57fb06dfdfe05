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

  /** Rows of several requests that are begun together, at most; each wants one at least. */
  int MOST_TOGETHER = 2048;

  /**
   * Begins one request, or several of one thread that are best made one: those for all layers of a
   * step. Returns at once, or after some hundred microseconds where all are {@link Fetch#isAlone}.
   * Exactly one of {@link Fetch#done} and {@link Fetch#failed} must be called for each, by any
   * thread, and not long after its deadline.
   *
   * @param fetches the caller's again when this returns; those that it takes out have begun. What
   *     it leaves there has failed, and it throws why
   */
  void start(Fetches fetches);

  /** Returns what those who wait for rows may drive, or null where they wait for a thread. */
  default @Nullable Driver driver() {
    return null;
  }

  /** Ends the connection; requests under way fail. */
  @Override
  void close() throws IOException;
}
