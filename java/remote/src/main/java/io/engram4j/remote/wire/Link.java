package io.engram4j.remote.wire;

import io.engram4j.remote.Driver;
import java.io.Closeable;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/** A connection that moves messages in order. Thread-safe. */
public interface Link extends Closeable {
  /** Hears of what comes over a link, from one thread at a time. */
  interface Inbox {
    /**
     * A message has come.
     *
     * @param head valid during the call
     * @param payload likewise
     * @throws IOException if it is none of this protocol; the link is closed
     */
    void received(MemorySegment head, MemorySegment payload) throws IOException;

    /** The link is gone, and nothing comes any more. Called once. */
    void closed(IOException why);
  }

  /**
   * Sends a message; returns at once, or when the transport has taken it. It is released when it is
   * not needed any more, in any case.
   *
   * @throws IOException if the link is closed
   */
  void send(Message message) throws IOException;

  /** Returns what those who wait may drive, or null where a thread of the link does. */
  default @Nullable Driver driver() {
    return null;
  }

  /** Returns who is at the other end, and over what. */
  String peer();

  /** Ends the link; the inbox hears that it is closed. */
  @Override
  void close();
}
