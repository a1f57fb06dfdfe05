package io.engram4j.remote;

import org.jspecify.annotations.Nullable;

/** Requests that wait to be used again; linked, so that nothing is allocated. Thread-safe. */
final class FetchPool {
  private @Nullable Fetch idle;
  private boolean closed;

  synchronized Fetch take() {
    Fetch taken = idle;
    if (taken == null) {
      return new Fetch(this);
    }
    idle = taken.next;
    taken.next = null;
    return taken;
  }

  synchronized void add(Fetch fetch) {
    if (closed) {
      fetch.free();
    } else {
      fetch.next = idle;
      idle = fetch;
    }
  }

  /** Frees all; what is under way is freed when it comes back. */
  synchronized void close() {
    closed = true;
    for (Fetch fetch = idle; fetch != null; fetch = fetch.next) {
      fetch.free();
    }
    idle = null;
  }
}
