package io.engram4j.remote.wire;

import io.engram4j.remote.Fetch;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/** What a server was asked and has not answered yet, by the number of the request. Thread-safe. */
final class Requests {
  /** So many at a time. */
  static final int MOST = 1024;

  private static final long PAUSE = 10_000_000; // ns from one look at the deadlines to the next

  private final @Nullable Fetch[] underWay = new @Nullable Fetch[MOST];
  private final long[] numbers = new long[MOST];
  private final int[] received = new int[MOST]; // rows
  private final long[] generations = new long[MOST];
  private long last;
  private long swept = System.nanoTime();
  private int count;

  /** Notes a request; returns its number, or 0 if there are too many. */
  synchronized long add(Fetch fetch, long generation) {
    if (count == MOST) {
      return 0;
    }
    int at;
    do {
      last++;
      at = Math.floorMod(last, MOST);
    } while (underWay[at] != null);
    underWay[at] = fetch;
    numbers[at] = last;
    received[at] = 0;
    generations[at] = generation;
    count++;
    return last;
  }

  /** Takes a request out, if it is under way. */
  synchronized @Nullable Fetch remove(long number) {
    int at = at(number);
    return at < 0 ? null : take(at);
  }

  private int at(long number) {
    int at = (int) Long.remainderUnsigned(number, MOST);
    return underWay[at] != null && numbers[at] == number ? at : -1;
  }

  private @Nullable Fetch take(int at) {
    Fetch fetch = underWay[at];
    underWay[at] = null;
    count--;
    return fetch;
  }

  /**
   * Takes rows of a request, those after those before.
   *
   * @throws IOException if they are others than were asked for
   */
  synchronized void rows(MemorySegment head, MemorySegment payload) throws IOException {
    int at = at(Frame.request(head));
    Fetch fetch = at < 0 ? null : underWay[at];
    if (fetch == null) {
      return; // nobody waits any more
    }
    int rowBytes = fetch.table().rowBytes();
    int first = Frame.first(head);
    int rows = Frame.rows(head);
    if (Frame.generation(head) != generations[at]) {
      throw new IOException("rows of another generation came");
    }
    if (Frame.layer(head) != fetch.table().layer()
        || Frame.slice(head) != fetch.slice()
        || first != received[at]
        || rows < 1
        || rows > fetch.count() - first
        || payload.byteSize() != (long) rows * rowBytes) {
      throw new IOException(
          rows + " rows from " + first + " on came in " + payload.byteSize() + " bytes");
    }
    MemorySegment.copy(payload, 0, fetch.rows(), (long) first * rowBytes, payload.byteSize());
    received[at] += rows;
    if (received[at] == fetch.count()) {
      take(at);
      fetch.done();
    }
  }

  /** Ends requests whose deadline is over: a server that says nothing may never do. */
  synchronized void sweep(Supplier<IOException> why) {
    long now = System.nanoTime();
    if (now - swept < PAUSE && count < MOST) {
      return;
    }
    swept = now;
    for (int at = 0; count > 0 && at < MOST; at++) {
      Fetch fetch = underWay[at];
      if (fetch != null && now - fetch.deadline() > 0) {
        take(at);
        fetch.failed(why.get());
      }
    }
  }

  /** Ends all. */
  synchronized void fail(Supplier<IOException> why) {
    for (int at = 0; at < MOST; at++) {
      Fetch fetch = underWay[at];
      if (fetch != null) {
        take(at);
        fetch.failed(why.get());
      }
    }
  }
}
