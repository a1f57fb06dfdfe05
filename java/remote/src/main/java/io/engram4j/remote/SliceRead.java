package io.engram4j.remote;

import io.engram4j.remote.Fleet.Generation;
import java.io.IOException;
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
  private long askAt; // not before is another asked
  private long hedge; // after so long a second is asked beside the first
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
    askAt = now;
    failure = null;
  }

  /** Forgets the batch before. */
  void forget() {
    end();
    from = 0;
    to = 0;
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

  /** Returns whether a request has ended that was not looked at yet. */
  boolean hasCome() {
    return (first != null && first.hasEnded()) || (second != null && second.hasEnded());
  }

  /** Returns what drives all that is under way, {@code known} if that is all; null if two do. */
  @Nullable Driver driver(@Nullable Driver known) {
    Driver all = first == null ? known : driver(first, known);
    return second == null || (first != null && all == null) ? all : driver(second, all);
  }

  private static @Nullable Driver driver(Fetch fetch, @Nullable Driver known) {
    Driver own = fetch.endpoint().driver();
    return known == null || known == own ? own : null;
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
   * Looks what has come, and asks on: one replica, a second where the first is slow, another where
   * one fails, and those that failed again after a while.
   *
   * @return until when there is nothing to do, if no reply comes
   */
  long poll(Batch batch, Generation generation, long now) {
    first = ended(first);
    second = ended(second);
    if (won != null) {
      if (first != null) {
        first.endpoint().failed(first, null); // overtaken by one that was asked later
      }
      releaseFirst();
      releaseSecond();
      return now;
    }
    if (first == null) { // it failed; what was asked beside it takes its place
      first = second;
      second = null;
      hedge = first == null ? 0 : first.endpoint().hedgeNanos();
      askAt = first == null ? now : askAt;
    }
    if (second != null || (first != null && !first.isSent())) {
      return batch.deadline();
    }
    long due = first == null ? askAt : first.started() + hedge;
    due = due - askAt < 0 ? askAt : due;
    if (now - due < 0) {
      return due;
    }
    int chosen = choose(batch, generation);
    if (chosen < 0) { // all were tried: again, but for the one that is at it
      tried = first == null ? 0 : 1L << fleet.endpoints().indexOf(first.endpoint());
      askAt = now + AGAIN;
      fleet.hurry();
      return askAt;
    }
    tried |= 1L << chosen;
    Endpoint endpoint = fleet.endpoints().get(chosen);
    Fetch fetch = batch.fetch(generation, slice, from, to);
    if (first == null) {
      first = fetch;
      hedge = endpoint.hedgeNanos();
    } else {
      second = fetch;
      statistics.hedged(batch.table().layer(), slice, first.endpoint(), endpoint);
    }
    fetch.start(endpoint, Thread.currentThread());
    batch.round().ask(chosen, fetch);
    return batch.deadline(); // until it is sent
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
      fetch.endpoint().failed(fetch, why);
      statistics.failed(fetch.slice(), fetch.endpoint(), why);
      fleet.hurry();
      fetch.release();
      return null;
    }
    return fetch;
  }

  /**
   * Chooses the replica with the fewest requests under way, of those that were not tried yet.
   *
   * @return its place, or -1 if all were tried
   */
  private int choose(Batch batch, Generation generation) {
    int best = -1;
    List<Endpoint> endpoints = fleet.endpoints();
    for (int i = 0; i < endpoints.size(); i++) {
      int at = (i + batch.turn()) % endpoints.size();
      if ((tried >>> at & 1) == 0
          && Fleet.serves(endpoints.get(at), generation.id(), batch.table().layer(), slice)
          && (best < 0 || isBetter(batch.round(), at, best))) {
        best = at;
      }
    }
    return best;
  }

  /**
   * One that is left alone is asked only where there is no other, and one that is about to be asked
   * before others: that takes one message for both.
   */
  private boolean isBetter(RemoteRound round, int at, int best) {
    Endpoint one = fleet.endpoints().get(at);
    Endpoint other = fleet.endpoints().get(best);
    if (one.isOpen() != other.isOpen()) {
      return one.isOpen();
    }
    boolean together = round.takesMore(at, to - from);
    if (together != round.takesMore(best, to - from)) {
      return together;
    }
    return one.underWay() < other.underWay();
  }

  /** Counts what is under way as failed: nobody can wait any more. */
  void late() {
    for (@Nullable Fetch fetch : new @Nullable Fetch[] {first, second}) {
      if (fetch != null) {
        IOException why = new IOException(fetch.endpoint().address() + ": no reply in time");
        failure = failure == null ? why : failure;
        fetch.endpoint().failed(fetch, why);
        statistics.failed(slice, fetch.endpoint(), why);
      }
    }
  }

  /** Gives all requests up. */
  void end() {
    releaseFirst();
    releaseSecond();
    Fetch fetch = won;
    won = null;
    release(fetch);
  }

  /** Forgets a request before it lets it go: nothing may do that twice, out of stack or not. */
  private void releaseFirst() {
    Fetch fetch = first;
    first = null;
    release(fetch);
  }

  private void releaseSecond() {
    Fetch fetch = second;
    second = null;
    release(fetch);
  }

  private static void release(@Nullable Fetch fetch) {
    if (fetch != null) {
      fetch.release();
    }
  }
}
