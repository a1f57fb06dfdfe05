package io.engram4j.remote;

import io.engram4j.work.Failures;
import java.util.NoSuchElementException;
import org.jspecify.annotations.Nullable;

/**
 * Requests, in order; linked by themselves, so that nothing is allocated. A request is in one such
 * list at a time. For one thread at a time.
 */
public final class Fetches {
  private @Nullable Fetch first;
  private @Nullable Fetch last;
  private int size;
  private int rows;

  /** None. */
  public Fetches() {}

  /** Adds one at the end. */
  void add(Fetch fetch) {
    fetch.next = null;
    if (last == null) {
      first = fetch;
    } else {
      last.next = fetch;
    }
    last = fetch;
    size++;
    rows += fetch.count();
  }

  /** Returns whether there is none. */
  public boolean isEmpty() {
    return first == null;
  }

  /** Returns how many there are. */
  public int size() {
    return size;
  }

  /** Returns how many rows they want. */
  public int rows() {
    return rows;
  }

  /** Returns the first, or null. */
  public @Nullable Fetch first() {
    return first;
  }

  /** Returns the one behind another that is in this list, or null. */
  public @Nullable Fetch after(Fetch fetch) {
    return fetch.next;
  }

  /** Takes the first out. */
  public Fetch remove() {
    Fetch taken = first;
    if (taken == null) {
      throw new NoSuchElementException("no requests are left");
    }
    first = taken.next;
    taken.next = null;
    if (first == null) {
      last = null;
    }
    size--;
    rows -= taken.count();
    return taken;
  }

  /** Takes all out, and tells that their rows will not come. */
  public void fail(Throwable why) {
    Throwable failure = null;
    while (first != null) {
      try {
        remove().failed(why);
      } catch (RuntimeException | Error e) { // the others must hear of it
        failure = e;
      }
    }
    if (failure != null) {
      Failures.rethrow(failure);
    }
  }
}
