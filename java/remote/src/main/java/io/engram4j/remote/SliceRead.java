package io.engram4j.remote;

import io.engram4j.remote.Fleet.Generation;
import io.engram4j.remote.Manifest.SlicedTable;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What one batch wants of one slice: a request to one replica, to a second where the first is slow,
 * to the next where one fails. Used again by the next batch. For one thread at a time.
 */
final class SliceRead {
  private static final long AGAIN = 2_000_000; // ns, when all have failed; one may come back

  private final Fleet fleet;
  private final RemoteStatistics statistics;
  private final int slice;
  private int from;
  private int to;
  private @Nullable Fetch first;
  private @Nullable Fetch second;
  private @Nullable Fetch won;
  private long tried; // a bit for each endpoint
  private boolean hedged;
  private long hedgeAt;
  private long againAt;
  private @Nullable Throwable failure;

  SliceRead(Fleet fleet, RemoteStatistics statistics, int slice) {
    this.fleet = fleet;
    this.statistics = statistics;
    this.slice = slice;
  }

  /** Prepares for ids from one place of a batch to another. */
  void prepare(int fromId, int toId, long now) {
    from = fromId;
    to = toId;
    tried = 0;
    againAt = now;
    failure = null;
  }

  int from() {
    return from;
  }

  int to() {
    return to;
  }

  int slice() {
    return slice;
  }

  boolean isDone() {
    return won != null;
  }

  /** Returns whether nobody is asked just now. */
  boolean isIdle() {
    return first == null && second == null;
  }

  /** Returns the request whose rows came. */
  Fetch won() {
    Fetch fetch = won;
    if (fetch == null) {
      throw new IllegalStateException("slice " + slice + " is not read");
    }
    return fetch;
  }

  /** Returns why the last request failed, if one did. */
  @Nullable Throwable failure() {
    return failure;
  }

  /**
   * Looks what has come, and asks on.
   *
   * @return until when there is nothing to do, if no reply comes
   */
  long poll(Batch batch, Generation generation, long now) {
    first = ended(first);
    second = ended(second);
    if (won != null) {
      overtaken(first);
      overtaken(second);
      first = null;
      second = null;
      return now;
    }
    if (first == null && second == null) {
      if (now - againAt < 0) {
        return againAt;
      }
      first = start(batch, generation);
      if (first == null) {
        tried = 0;
        againAt = now + AGAIN;
        fleet.hurry();
        return againAt;
      }
      hedged = false;
      hedgeAt = now + first.endpoint().hedgeNanos();
      return hedgeAt;
    }
    if (first != null && !hedged && now - hedgeAt >= 0) {
      hedged = true;
      second = start(batch, generation);
      if (second != null) {
        statistics.hedged(batch.table().layer(), slice, first.endpoint(), second.endpoint());
      }
    }
    return hedged ? batch.deadline() : hedgeAt;
  }

  /** Takes a reply if there is one; returns the request while it is under way. */
  private @Nullable Fetch ended(@Nullable Fetch fetch) {
    if (fetch == null) {
      return null;
    }
    if (fetch.isDone()) {
      fetch.endpoint().succeeded(fetch.nanos());
      if (won == null) {
        won = fetch;
      } else {
        fetch.release();
      }
      return null;
    }
    Throwable why = fetch.failure();
    if (why != null) {
      failure = why;
      fetch.endpoint().failed(why);
      statistics.failed(fetch.slice(), fetch.endpoint(), why);
      fetch.release();
      fleet.hurry();
      return null;
    }
    return fetch;
  }

  private static void overtaken(@Nullable Fetch fetch) {
    if (fetch != null) {
      fetch.endpoint().failed(null);
      fetch.release();
    }
  }

  /** Asks the replica with the fewest requests under way, of those that were not tried yet. */
  private @Nullable Fetch start(Batch batch, Generation generation) {
    SlicedTable table = batch.table();
    Endpoint best = null;
    int bestAt = -1;
    List<Endpoint> endpoints = fleet.endpoints();
    int offset = batch.turn();
    for (int i = 0; i < endpoints.size(); i++) {
      int at = (i + offset) % endpoints.size();
      Endpoint endpoint = endpoints.get(at);
      if ((tried >>> at & 1) == 0
          && Fleet.serves(endpoint, generation.id(), table.layer(), slice)
          && (best == null || better(endpoint, best))) {
        best = endpoint;
        bestAt = at;
      }
    }
    if (best == null) {
      return null;
    }
    tried |= 1L << bestAt;
    Fetch fetch = batch.fetch(generation.manifest(), slice, from, to);
    fetch.start(best, Thread.currentThread());
    return fetch;
  }

  /** One that is left alone is asked only where there is no other. */
  private static boolean better(Endpoint one, Endpoint other) {
    if (one.isOpen() != other.isOpen()) {
      return one.isOpen();
    }
    return one.underWay() < other.underWay();
  }

  /** Gives all requests up. */
  void end() {
    release(first);
    release(second);
    release(won);
    first = null;
    second = null;
    won = null;
  }

  private static void release(@Nullable Fetch fetch) {
    if (fetch != null) {
      fetch.release();
    }
  }
}
