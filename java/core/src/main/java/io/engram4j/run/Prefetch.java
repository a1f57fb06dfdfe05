package io.engram4j.run;

import io.engram4j.table.RowSource;
import io.engram4j.work.Failures;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * Rows that one step needs of the layers whose tables are asked together, fetched while the model
 * computes something else. Reused from step to step. The step's owner starts, awaits and cancels
 * it; an executor runs it. That work has begun and ended is written to fields, which takes neither
 * stack nor heap: a thread that runs out of either must not leave the owner waiting, or with rows
 * that never came.
 */
@SuppressWarnings("NonAtomicVolatileUpdate") // of calls, which have one thread at a time
final class Prefetch implements Runnable {
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
  private final PrefetchedRows[] layers;
  private final RowSource.@Nullable Round round;
  private final long mostRows;
  private volatile int state;
  private @Nullable Throwable failure; // of all, where a layer has none of its own
  private volatile @Nullable Thread waiter;

  private Prefetch(Windows windows, List<PrefetchedRows> layers, RowSource.@Nullable Group group) {
    this.windows = windows;
    this.layers = layers.toArray(new PrefetchedRows[0]);
    this.round = group == null ? null : group.newRound();
    this.mostRows = group == null ? Long.MAX_VALUE : group.mostRows();
  }

  /** Returns what fetches the rows of each layer by itself. */
  static Prefetch[] apart(Windows windows, PrefetchedRows[] layers) {
    return Arrays.stream(layers)
        .map(rows -> new Prefetch(windows, List.of(rows), null))
        .toArray(Prefetch[]::new);
  }

  /** Returns what fetches the rows of some layers, those together that are asked together. */
  static Prefetch[] together(Windows windows, PrefetchedRows[] layers) {
    Map<Object, List<PrefetchedRows>> groups = new LinkedHashMap<>();
    for (PrefetchedRows rows : layers) {
      RowSource.Group group = rows.group();
      groups.computeIfAbsent(group == null ? rows : group, g -> new ArrayList<>()).add(rows);
    }
    return groups.values().stream()
        .map(of -> new Prefetch(windows, of, of.getFirst().group()))
        .toArray(Prefetch[]::new);
  }

  /** Returns whether the step wants few enough rows for one request. */
  boolean isFew() {
    long rows = 0;
    for (PrefetchedRows layer : layers) {
      rows += layer.rows();
    }
    return rows <= mostRows;
  }

  /** Hands the work to an executor; if that takes none, whoever wants the rows fetches them. */
  void start(Executor executor) {
    cancel();
    failure = null;
    for (PrefetchedRows rows : layers) {
      rows.prepare();
    }
    state = QUEUED;
    for (PrefetchedRows rows : layers) {
      rows.setStarted(true);
    }
    try {
      executor.execute(this);
    } catch (RejectedExecutionException e) {
      return; // full, or shut down: await does the work
    } catch (RuntimeException | Error e) {
      cancel(); // a task of an earlier start may have come meanwhile, and be at it
      throw e;
    }
    for (PrefetchedRows rows : layers) {
      rows.layer().countPrefetch();
    }
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
      for (PrefetchedRows rows : layers) {
        if (rows.inCall) {
          rows.inCall = false;
          rows.call.depth--;
        }
      }
      state = DONE;
    }
    LockSupport.unpark(waiter);
    return true;
  }

  /** Begins all before it ends the first, so that one request has the rows of all. */
  private void work() {
    int begun = 0;
    try {
      while (begun < layers.length) {
        layers[begun].begin(round);
        begun++; // one that had no stack even to begin has no rows
      }
    } finally {
      for (int i = 0; i < begun; i++) {
        layers[i].end();
        if (layers[i].failure() == null) { // else there may be no stack, and others to be ended
          LockSupport.unpark(waiter);
        }
      }
    }
  }

  /** Returns whether it fetches the rows of a layer. */
  boolean has(PrefetchedRows rows) {
    for (PrefetchedRows own : layers) {
      if (own == rows) {
        return true;
      }
    }
    return false;
  }

  /**
   * Waits until a layer's rows are there; does the work itself if no thread has begun it.
   *
   * @throws RuntimeException what went wrong while they were fetched; whoever asks again finds that
   *     nothing was begun
   */
  void await(PrefetchedRows rows) {
    if (!rows.hasEnded()) {
      StallEvent event = new StallEvent();
      long start = System.nanoTime();
      event.begin();
      event.inline = runIfQueued();
      awaitEnd(rows);
      event.layer = rows.layer().layout().layerId();
      event.tokens = windows.tokens();
      event.commit();
      rows.layer().countStall(event.inline, System.nanoTime() - start);
    }
    Throwable e = rows.hasEnded() ? rows.failure() : failure;
    if (e != null) {
      rows.setStarted(false);
      Failures.rethrow(e);
    }
  }

  /** Waits for a layer's rows, or for all work if none is named. */
  private void awaitEnd(@Nullable PrefetchedRows rows) {
    boolean interrupted = false;
    waiter = Thread.currentThread();
    while (state == RUNNING && (rows == null || !rows.hasEnded())) {
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
      awaitEnd(null);
      state = IDLE;
    }
    for (PrefetchedRows rows : layers) {
      rows.setStarted(false);
    }
  }
}
