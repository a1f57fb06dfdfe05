package io.engram4j.run;

import io.engram4j.host.Buffer;
import io.engram4j.work.Failures;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * The rows that one step needs of one layer, fetched while the model computes something else.
 * Reused from step to step. The step's owner starts, awaits and cancels it; an executor runs it.
 */
final class Prefetch implements Runnable, AutoCloseable {
  private static final int IDLE = 0;
  private static final int QUEUED = 1;
  private static final int RUNNING = 2;
  private static final int DONE = 3;

  private final Windows windows;
  private final LayerRuntime layer;
  private final Staging staging;
  private final Buffer rowIds = new Buffer();
  private final AtomicInteger state = new AtomicInteger();
  private @Nullable Throwable failure;
  private volatile @Nullable Thread waiter;
  private volatile @Nullable Thread runner; // who may be the one that frees a closed model

  Prefetch(Windows windows, LayerRuntime layer) {
    this.windows = windows;
    this.layer = layer;
    this.staging = new Staging(layer.weights().table());
  }

  /** Hands the work to an executor; if that takes none, whoever wants the rows fetches them. */
  void start(Executor executor) {
    cancel();
    failure = null;
    rowIds.extend(8L * windows.tokens() * layer.layout().columns());
    state.set(QUEUED);
    try {
      executor.execute(this);
    } catch (RejectedExecutionException e) {
      return; // full, or shut down: await does the work
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
    runner = Thread.currentThread();
    try {
      PrefetchEvent event = new PrefetchEvent();
      event.begin();
      fetch();
      event.layer = layer.layout().layerId();
      event.tokens = windows.tokens();
      event.commit();
    } catch (RuntimeException | Error e) {
      failure = e;
    } finally {
      runner = null;
      state.set(DONE);
      LockSupport.unpark(waiter);
    }
  }

  /** The first half of {@link LayerPass#fetchRows}: here tables in memory are staged as well. */
  private void fetch() {
    layer.lifetime().enter();
    try {
      layer.hash(windows.windowsFrom(0), windows.tokens(), rowIds.get());
      staging.fetch(rowIds.get(), (long) windows.tokens() * layer.layout().columns());
    } catch (InternalError e) {
      throw layer.shrunk(e);
    } finally {
      layer.lifetime().exit();
    }
  }

  boolean isStarted() {
    return state.get() != IDLE;
  }

  /**
   * Waits until the rows are there; does the work itself if no thread has begun it.
   *
   * @throws RuntimeException what went wrong while they were fetched; whoever asks again finds that
   *     nothing was begun
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
      event.layer = layer.layout().layerId();
      event.tokens = windows.tokens();
      event.commit();
      layer.countStall(event.inline, System.nanoTime() - start);
    }
    Throwable e = failure;
    if (e != null) {
      state.set(IDLE);
      Failures.rethrow(e);
    }
  }

  private void awaitEnd() {
    boolean interrupted = false;
    waiter = Thread.currentThread();
    while (state.get() == RUNNING && runner != Thread.currentThread()) {
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
    return token == 0 ? rowIds.get() : rowIds.get().asSlice(8L * token * layer.layout().columns());
  }

  Staging staging() {
    return staging;
  }

  long bytes() {
    return rowIds.bytes() + staging.bytes();
  }

  @Override
  public void close() {
    cancel();
    rowIds.close();
    staging.close();
  }
}
