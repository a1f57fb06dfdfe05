package io.engram4j.remote;

import static java.lang.foreign.ValueLayout.JAVA_LONG_UNALIGNED;

import io.engram4j.remote.Fleet.Generation;
import io.engram4j.remote.Manifest.SlicedTable;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * The rows that one call wants: sorted, each once, cut where slices are, put back in the caller's
 * order. All are of one generation. Used again, so that it allocates nothing once it has grown. For
 * one thread at a time.
 */
final class Batch {
  /** Rows at a time: an index of them fits beside a row id into a long. */
  static final int MOST_ROWS = 1 << 16;

  private static final int INDEX_BITS = 16;

  private final SlicedTable table;
  private final Fleet fleet;
  private final FetchPool pool;
  private final RemoteOptions options;
  private final RemoteStatistics statistics;
  private final List<SliceRead> slices = new ArrayList<>();
  private long[] wanted = new long[64]; // row id, then index in the caller's order; sorted
  private long[] ids = new long[64]; // each once
  private int count;
  private int distinct;
  private long deadline;
  private int turn;
  private boolean interrupted;
  private final RemoteBatchEvent event = new RemoteBatchEvent();
  private @Nullable Generation generation; // of the rows
  private @Nullable RemoteRound round;

  Batch(
      SlicedTable table,
      Fleet fleet,
      FetchPool pool,
      RemoteOptions options,
      RemoteStatistics statistics) {
    this.table = table;
    this.fleet = fleet;
    this.pool = pool;
    this.options = options;
    this.statistics = statistics;
  }

  SlicedTable table() {
    return table;
  }

  long deadline() {
    return deadline;
  }

  /** Returns with which endpoint the search for one begins. */
  int turn() {
    return turn;
  }

  Fetch fetch(Generation generation, int slice, int from, int to) {
    Manifest manifest = generation.manifest();
    Fetch fetch = pool.take();
    boolean all = to - from == distinct;
    try {
      fetch.prepare(
          manifest,
          generation.id(),
          manifest.table(table.layer()),
          slice,
          ids,
          from,
          to,
          all,
          deadline);
    } catch (Throwable e) { // no memory for so many rows
      pool.add(fetch);
      throw e;
    }
    return fetch;
  }

  /**
   * Begins to fetch rows of a generation; requests may wait in the round.
   *
   * @param until when they must be there, as {@link System#nanoTime} has it
   */
  void begin(
      MemorySegment rowIds, int some, Generation ofGeneration, long until, RemoteRound with) {
    slices.forEach(SliceRead::forget);
    sort(rowIds, some);
    if (distinct == 0) {
      return;
    }
    event.begin();
    turn = (turn + 1) & 0xffff;
    deadline = until;
    generation = ofGeneration;
    interrupted = false;
    round = with;
    with.add(this);
    try {
      cut(ofGeneration.manifest().table(table.layer()));
      poll(System.nanoTime());
    } catch (Throwable e) {
      clear();
      with.send(); // what nobody wants any more, so that it ends
      throw e;
    }
  }

  private void clear() {
    slices.forEach(SliceRead::end);
    round().remove(this);
  }

  /** Returns what this thread has begun beside. */
  RemoteRound round() {
    return required(round);
  }

  /**
   * Waits for the rows, and writes them; what stands for -1 is left as it is.
   *
   * @return false if another generation has taken its place
   * @throws UncheckedIOException if rows did not come in time
   */
  boolean end(MemorySegment to) {
    if (distinct == 0) {
      return true;
    }
    boolean came;
    try {
      came = await(generation());
      if (came) {
        scatter(to);
      }
    } finally {
      clear();
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
    }
    event.end();
    event.generation = generation().id();
    event.layer = table.layer();
    event.rows = distinct;
    event.commit();
    return came;
  }

  private Generation generation() {
    return required(generation);
  }

  private static <T> T required(@Nullable T value) {
    if (value == null) {
      throw new IllegalStateException("nothing was begun");
    }
    return value;
  }

  private void sort(MemorySegment rowIds, int some) {
    if (wanted.length < some) {
      wanted = new long[Math.max(some, 2 * wanted.length)];
      ids = new long[wanted.length];
    }
    count = 0;
    for (int i = 0; i < some; i++) {
      long row = rowIds.getAtIndex(JAVA_LONG_UNALIGNED, i);
      if (row >= table.rows()) {
        throw new IndexOutOfBoundsException(
            "row id " + row + " is outside " + table.name() + ", which has " + table.rows());
      }
      if (row >= 0) {
        wanted[count++] = row << INDEX_BITS | i;
      }
    }
    Arrays.sort(wanted, 0, count);
    distinct = 0;
    for (int i = 0; i < count; i++) {
      long row = wanted[i] >>> INDEX_BITS;
      if (distinct == 0 || ids[distinct - 1] != row) {
        ids[distinct++] = row;
      }
    }
  }

  private void cut(SlicedTable now) {
    int cuts = now.slices().size();
    while (slices.size() < cuts) {
      slices.add(new SliceRead(fleet, statistics, slices.size()));
    }
    int at = 0;
    for (int slice = 0; slice < slices.size(); slice++) {
      long end =
          slice < cuts ? now.slices().get(slice).first() + now.slices().get(slice).rows() : 0;
      int from = at;
      while (at < distinct && ids[at] < end) {
        at++;
      }
      slices.get(slice).prepare(from, at, System.nanoTime());
    }
  }

  /**
   * Waits for all slices, and sends what waits to be sent.
   *
   * @return whether they came; false if another generation has taken the place of this one
   * @throws UncheckedIOException if they did not come in time
   */
  private boolean await(Generation of) {
    while (true) {
      round().send();
      long now = System.nanoTime();
      long until = round().poll(this, now);
      round().send();
      SliceRead waiting = null;
      boolean idle = false;
      for (int i = 0; i < slices.size(); i++) {
        SliceRead read = slices.get(i);
        if (read.from() < read.to() && !read.isDone()) {
          waiting = read;
          idle |= read.isIdle();
        }
      }
      if (waiting == null) {
        return true;
      }
      if (fleet.isClosed()) {
        throw new IllegalStateException("the remote tables of " + table.name() + " are closed");
      }
      if (now - deadline >= 0) {
        slices.forEach(SliceRead::late);
        throw late(waiting, of);
      }
      if (idle && !fleet.current().id().equals(of.id())) {
        return false;
      }
      Driver driver = round().driver();
      long left = until - System.nanoTime();
      if (driver != null) {
        driver.await(round(), left);
      } else if (!round().hasCome()) { // a lock may have taken what wakes this thread
        LockSupport.parkNanos(this, left);
      }
      interrupted |= Thread.interrupted(); // rows are on their way; the caller hears of it then
    }
  }

  /** Looks what has come and asks on; returns until when there is nothing to do, at most. */
  long poll(long now) {
    long until = deadline;
    for (int i = 0; i < slices.size(); i++) {
      SliceRead read = slices.get(i);
      if (read.from() < read.to() && !read.isDone()) {
        long next = read.poll(this, generation(), now);
        until = !read.isDone() && next - until < 0 ? next : until;
      }
    }
    return until;
  }

  /** Returns whether requests are under way. */
  boolean isWaiting() {
    for (int i = 0; i < slices.size(); i++) {
      SliceRead read = slices.get(i);
      if (read.from() < read.to() && !read.isDone() && !read.isIdle()) {
        return true;
      }
    }
    return false;
  }

  /** Returns what drives all requests under way, {@code known} if that is all; null if two do. */
  @Nullable Driver driver(@Nullable Driver known) {
    Driver all = known;
    for (int i = 0; i < slices.size(); i++) {
      SliceRead read = slices.get(i);
      if (read.from() < read.to() && !read.isDone() && !read.isIdle()) {
        all = read.driver(all);
        if (all == null) {
          return null;
        }
      }
    }
    return all;
  }

  /** Returns whether a request has ended that was not looked at yet. */
  boolean hasCome() {
    for (int i = 0; i < slices.size(); i++) {
      SliceRead read = slices.get(i);
      if (read.from() < read.to() && !read.isDone() && read.hasCome()) {
        return true;
      }
    }
    return false;
  }

  private UncheckedIOException late(SliceRead waiting, Generation generation) {
    List<String> known = new ArrayList<>();
    for (Endpoint endpoint : fleet.endpoints()) {
      EndpointStatistics one = endpoint.statistics();
      known.add(
          one.address()
              + (one.generation().isEmpty()
                  ? " (does not answer)"
                  : " (generation " + one.generation().substring(0, 12) + ")"));
    }
    IOException e =
        new IOException(
            "layer "
                + table.layer()
                + ", slice "
                + waiting.slice()
                + " of generation "
                + generation.id().substring(0, 12)
                + ": no rows within "
                + TimeUnit.NANOSECONDS.toMillis(options.deadline().toNanos())
                + " ms from any of "
                + String.join(", ", known)
                + (waiting.failure() == null ? "" : "; the last failure: " + waiting.failure()),
            waiting.failure());
    return new UncheckedIOException(e.getMessage(), e);
  }

  private void scatter(MemorySegment to) {
    int rowBytes = table.rowBytes();
    int at = -1;
    int slice = 0;
    long before = -1;
    for (int i = 0; i < count; i++) {
      long row = wanted[i] >>> INDEX_BITS;
      if (row != before) {
        at++;
        before = row;
        while (at >= slices.get(slice).to()) {
          slice++;
        }
      }
      SliceRead read = slices.get(slice);
      long target = (wanted[i] & (MOST_ROWS - 1)) * rowBytes;
      long source = (long) (at - read.from()) * rowBytes;
      MemorySegment.copy(read.won().rows(), source, to, target, rowBytes);
    }
  }

  /** Returns how many rows the last run fetched. */
  int distinct() {
    return distinct;
  }

  /** Returns how many requests that took, had each slice one. */
  int requests() {
    int requests = 0;
    for (int i = 0; i < slices.size(); i++) {
      requests += slices.get(i).from() < slices.get(i).to() ? 1 : 0;
    }
    return requests;
  }
}
