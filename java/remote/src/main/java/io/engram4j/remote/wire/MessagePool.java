package io.engram4j.remote.wire;

import java.util.ArrayDeque;

/** Messages that wait to be used again. Thread-safe. */
final class MessagePool implements AutoCloseable {
  private static final int MOST = 256; // idle; a burst's memory is given back

  private final ArrayDeque<Message> idle = new ArrayDeque<>();
  private boolean closed;

  synchronized Message take() {
    return idle.isEmpty() ? new Message(this) : idle.pop();
  }

  synchronized void add(Message message) {
    if (closed || idle.size() == MOST) {
      message.free();
    } else {
      idle.push(message);
    }
  }

  /** Frees all; what is under way is freed when it comes back. */
  @Override
  public synchronized void close() {
    closed = true;
    idle.forEach(Message::free);
    idle.clear();
  }
}
