package io.engram4j;

import java.lang.foreign.MemorySegment;
import java.util.concurrent.Executor;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * The rows that one batch needs of one layer, fetched while the model computes something else.
 * Reused from step to step. The batch's owner starts, awaits and cancels it; an executor runs it.
 */
final class Prefetch implements Runnable {
  private static final int IDLE = 0;
  private static final int QUEUED = 1;
  private static final int RUNNING = 2;
  private static final int DONE = 3;

  private final EngramBatch batch;
  private final EngramLayer layer;
  private final Staging staging;
  private final AtomicInteger state = new AtomicInteger();
  private MemorySegment rowIds = MemorySegment.NULL;
  private @Nullable Throwable failure;
  private volatile @Nullable Thread waiter;

  Prefetch(EngramBatch batch, EngramLayer layer) {
    this.batch = batch;
    this.layer = layer;
    this.staging = new Staging(layer.weights().table());
  }

  /**
   * Hands the work to an executor.
   *
   * @throws java.util.concurrent.RejectedExecutionException if it takes none; then nothing is begun
   */
  void start(Executor executor) {
    cancel();
    failure = null;
    long bytes = 8L * batch.tokens() * layer.layout().columns();
    if (rowIds.byteSize() < bytes) {
      rowIds = EngramBatch.allocate(Math.max(bytes, 2 * rowIds.byteSize()));
    }
    state.set(QUEUED);
    try {
      executor.execute(this);
    } catch (RuntimeException | Error e) {
      cancel(); // a task of an earlier start may have come meanwhile, and be at it
      throw e;
    }
    layer.countPrefetch();
  }

  @Override
  public void run() {
    if (state.compareAndSet(QUEUED, RUNNING)) {
      work();
    }
  }

  private void work() {
    PrefetchEvent event = new PrefetchEvent();
    event.begin();
    try {
      layer.fetch(batch, rowIds, staging);
      event.layer = layer.id();
      event.tokens = batch.tokens();
      event.commit();
    } catch (RuntimeException | Error e) {
      failure = e;
    } finally {
      state.set(DONE);
      LockSupport.unpark(waiter);
    }
  }

  boolean isStarted() {
    return state.get() != IDLE;
  }

  /**
   * Waits until the rows are there; does the work itself if no thread has begun it.
   *
   * @throws RuntimeException what went wrong while they were fetched
   */
  void await() {
    if (state.get() != DONE) {
      StallEvent event = new StallEvent();
      long start = System.nanoTime();
      event.begin();
      event.inline = state.compareAndSet(QUEUED, RUNNING);
      if (event.inline) {
        work();
      }
      awaitEnd();
      event.layer = layer.id();
      event.tokens = batch.tokens();
      event.commit();
      layer.countStall(event.inline, System.nanoTime() - start);
    }
    switch (failure) {
      case null -> {}
      case RuntimeException e -> throw e;
      case Error e -> throw e;
      case Throwable e -> throw new IllegalStateException(e);
    }
  }

  private void awaitEnd() {
    boolean interrupted = false;
    waiter = Thread.currentThread();
    while (state.get() == RUNNING) {
      LockSupport.park(this);
      interrupted |= Thread.interrupted();
    }
    waiter = null;
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  /** Gives the rows up; returns when no thread works on them any more. */
  void cancel() {
    if (!state.compareAndSet(QUEUED, IDLE)) {
      awaitEnd();
      state.set(IDLE);
    }
  }

  MemorySegment rowIdsFrom(int token) {
    return token == 0 ? rowIds : rowIds.asSlice(8L * token * layer.layout().columns());
  }

  Staging staging() {
    return staging;
  }
}
