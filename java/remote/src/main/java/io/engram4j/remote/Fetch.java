package io.engram4j.remote;

import io.engram4j.host.Buffer;
import io.engram4j.remote.Manifest.SlicedTable;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * One request for rows of one slice to one endpoint, from the asking side and from the engine's.
 * Its memory is its own: a reply that comes after the deadline, or after another replica's, writes
 * where nobody reads. Used again once its engine has ended it and nobody waits for it.
 */
public final class Fetch {
  private static final int IDLE = 0; // in the pool, or new
  private static final int PREPARED = 1;
  private static final int RUNNING = 2;
  private static final int DONE = 3;
  private static final int FAILED = 4;
  private static final int ABANDONED = 5;

  /** The one behind it in the list that it is in: {@link Fetches}, or idle ones. */
  @Nullable Fetch next;

  private final FetchPool pool;
  private final AtomicInteger state = new AtomicInteger();
  private final Buffer rows = new Buffer();
  private long[] ids = new long[64];
  private int count;
  private @Nullable Manifest manifest;
  private @Nullable String generation;
  private @Nullable SlicedTable table;
  private int slice;
  private boolean alone;
  private volatile long started; // 0 until it is sent
  private long deadline;
  private long tag;
  private @Nullable Endpoint endpoint;
  private @Nullable Thread waiter;
  private volatile @Nullable Throwable failure;
  private volatile long ended;

  Fetch(FetchPool pool) {
    this.pool = pool;
  }

  /** Prepares a request for some of the ids that a batch wants. */
  void prepare(
      Manifest ofManifest,
      String ofGeneration,
      SlicedTable ofTable,
      int ofSlice,
      long[] wanted,
      int from,
      int to,
      boolean ofAll,
      long until) {
    manifest = ofManifest;
    generation = ofGeneration;
    table = ofTable;
    slice = ofSlice;
    alone = ofAll;
    count = to - from;
    if (ids.length < count) {
      ids = new long[Math.max(count, 2 * ids.length)];
    }
    System.arraycopy(wanted, from, ids, 0, count);
    rows.reserve((long) count * ofTable.rowBytes());
    deadline = until;
    failure = null;
    started = 0;
    state.set(PREPARED);
  }

  /** Chooses the endpoint, which hears of the end. */
  void start(Endpoint to, Thread waits) {
    endpoint = to;
    waiter = waits;
    state.set(RUNNING);
    to.begun();
  }

  /** It is being sent; its time begins. */
  void sent() {
    started = System.nanoTime() | 1;
  }

  boolean isSent() {
    return started != 0;
  }

  /** Returns when it was sent. */
  long started() {
    return started;
  }

  /** Returns a number that the engine keeps here until the request has ended. */
  public long tag() {
    return tag;
  }

  /** Keeps a number for the engine. */
  public void setTag(long number) {
    tag = number;
  }

  /** Returns the manifest whose rows are wanted. */
  public Manifest manifest() {
    return required(manifest);
  }

  /** Returns the generation, which is the manifest's. */
  public String generation() {
    return required(generation);
  }

  /** Returns the table. */
  public SlicedTable table() {
    return required(table);
  }

  private static <T> T required(@Nullable T value) {
    if (value == null) {
      throw new IllegalStateException("the request was not prepared");
    }
    return value;
  }

  /** Returns the place of the slice in the table. */
  public int slice() {
    return slice;
  }

  /**
   * Returns whether these are all rows that the caller wants, so that it may be kept for a while.
   */
  public boolean isAlone() {
    return alone;
  }

  /** Returns how many rows are wanted. */
  public int count() {
    return count;
  }

  /** Returns a row's id in the whole table; ids ascend, none twice. */
  public long id(int index) {
    return ids[index];
  }

  /** Returns where the rows go, one after the other, each {@code table().rowBytes()} long. */
  public MemorySegment rows() {
    return rows.get();
  }

  /** Returns when nobody waits any more, as {@link System#nanoTime} has it. */
  public long deadline() {
    return deadline;
  }

  /** Returns whether nobody waits any more, so that the rest of the work is in vain. */
  public boolean isAbandoned() {
    return state.get() == ABANDONED;
  }

  /** Tells that all rows are there. */
  public void done() {
    end(DONE);
  }

  /** Tells that they will not come. */
  public void failed(Throwable why) {
    failure = why;
    end(FAILED);
  }

  private void end(int as) {
    ended = System.nanoTime();
    required(endpoint).ended();
    if (state.compareAndSet(RUNNING, as)) {
      LockSupport.unpark(waiter);
    } else {
      recycle(); // nobody waits
    }
  }

  /** Once, whoever thinks that it is the last to have it. */
  private void recycle() {
    if (state.getAndSet(IDLE) != IDLE) {
      pool.add(this);
    }
  }

  boolean hasEnded() {
    int now = state.get();
    return now == DONE || now == FAILED;
  }

  boolean isDone() {
    return state.get() == DONE;
  }

  @Nullable Throwable failure() {
    return state.get() == FAILED ? failure : null;
  }

  Endpoint endpoint() {
    return required(endpoint);
  }

  /** Returns how long it took. */
  long nanos() {
    return ended - started;
  }

  /** Gives the request up, whatever has become of it. */
  void release() {
    if (!state.compareAndSet(RUNNING, ABANDONED)) {
      recycle();
    }
  }

  /** Frees the rows' memory. */
  void free() {
    rows.close();
  }
}
