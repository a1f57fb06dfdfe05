package io.engram4j.run;

import io.engram4j.host.Buffer;
import io.engram4j.work.Failures;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * The rows that one step needs of one layer, fetched while the model computes something else.
 * Reused from step to step. The step's owner starts, awaits and cancels it; an executor runs it.
 * That work has begun and ended is written to a field, which takes neither stack nor heap: a thread
 * that runs out of either must not leave the owner waiting, or with rows that never came.
 */
@SuppressWarnings("NonAtomicVolatileUpdate") // of the call, which has one thread at a time
final class Prefetch implements Runnable, AutoCloseable {
  private static final int IDLE = 0;
  private static final int QUEUED = 1;
  private static final int RUNNING = 2;
  private static final int DONE = 3;
  private static final VarHandle STATE;

  static {
    try {
      STATE = MethodHandles.lookup().findVarHandle(Prefetch.class, "state", int.class);
    } catch (ReflectiveOperationException e) {
      throw new ExceptionInInitializerError(e);
    }
  }

  private final Windows windows;
  private final LayerRuntime layer;
  private final Staging staging;
  private final Lifetime.Call call;
  private final Buffer rowIds = new Buffer();
  private volatile int state;
  private @Nullable Throwable failure;
  private volatile @Nullable Thread waiter;

  Prefetch(Windows windows, LayerRuntime layer) {
    this.windows = windows;
    this.layer = layer;
    this.staging = new Staging(layer.weights().table());
    this.call = layer.lifetime().newCall();
  }

  /** Hands the work to an executor; if that takes none, whoever wants the rows fetches them. */
  void start(Executor executor) {
    cancel();
    failure = null;
    rowIds.extend(8L * windows.tokens() * layer.layout().columns());
    state = QUEUED;
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
    runIfQueued();
  }

  /** Does the work if nobody has begun it; returns whether it did. */
  private boolean runIfQueued() {
    if (!STATE.compareAndSet(this, QUEUED, RUNNING)) {
      return false;
    }
    try {
      work();
    } catch (RuntimeException | Error e) {
      failure = e;
    } finally {
      state = DONE;
    }
    LockSupport.unpark(waiter);
    return true;
  }

  private void work() {
    PrefetchEvent event = new PrefetchEvent();
    event.begin();
    fetch();
    event.layer = layer.layout().layerId();
    event.tokens = windows.tokens();
    event.commit();
  }

  /** The first half of {@link LayerPass#fetchRows}: here tables in memory are staged as well. */
  private void fetch() {
    call.begin();
    try {
      layer.hash(windows.windowsFrom(0), windows.tokens(), rowIds.get());
      staging.fetch(rowIds.get(), (long) windows.tokens() * layer.layout().columns());
    } catch (InternalError e) {
      throw layer.shrunk(e);
    } finally {
      call.depth--;
    }
  }

  boolean isStarted() {
    return state != IDLE;
  }

  /**
   * Waits until the rows are there; does the work itself if no thread has begun it.
   *
   * @throws RuntimeException what went wrong while they were fetched; whoever asks again finds that
   *     nothing was begun
   */
  void await() {
    if (state != DONE) {
      StallEvent event = new StallEvent();
      long start = System.nanoTime();
      event.begin();
      event.inline = runIfQueued();
      awaitEnd();
      event.layer = layer.layout().layerId();
      event.tokens = windows.tokens();
      event.commit();
      layer.countStall(event.inline, System.nanoTime() - start);
    }
    Throwable e = failure;
    if (e != null) {
      state = IDLE;
      Failures.rethrow(e);
    }
  }

  private void awaitEnd() {
    boolean interrupted = false;
    waiter = Thread.currentThread();
    while (state == RUNNING) {
      LockSupport.parkNanos(this, 1_000_000); // who ran out of stack does not wake others
      interrupted |= Thread.interrupted();
    }
    waiter = null;
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  /** Gives the rows up; returns when no thread works on them any more. */
  void cancel() {
    if (!STATE.compareAndSet(this, QUEUED, IDLE)) {
      awaitEnd();
      state = IDLE;
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
    call.close();
    rowIds.close();
    staging.close();
  }
}
