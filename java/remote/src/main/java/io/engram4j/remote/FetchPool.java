package io.engram4j.remote;

import java.util.ArrayDeque;

/**
 * Requests that wait to be used again; a lock and an array, which allocate nothing. Thread-safe.
 */
final class FetchPool {
  private final ArrayDeque<Fetch> idle = new ArrayDeque<>();
  private boolean closed;

  synchronized Fetch take() {
    return idle.isEmpty() ? new Fetch(this) : idle.pop();
  }

  synchronized void add(Fetch fetch) {
    if (closed) {
      fetch.free();
    } else {
      idle.push(fetch);
    }
  }

  /** Frees all; what is under way is freed when it comes back. */
  synchronized void close() {
    closed = true;
    idle.forEach(Fetch::free);
    idle.clear();
  }
}
