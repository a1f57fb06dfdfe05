package io.engram4j.run;

import io.engram4j.model.EngramConfig;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Executor;
import org.jspecify.annotations.Nullable;

/**
 * The steps of a view of a model: lends them and takes them back, so that only those who run a
 * layer just now hold memory for it. Owns them all and frees them when it is closed. Thread-safe.
 */
@SuppressWarnings("NonAtomicVolatileUpdate") // of a step's calls, which are its owner's
public final class StepPool implements AutoCloseable {
  private final EngramConfig config;
  private final int padId;
  private final List<LayerRuntime> layers;
  private final @Nullable Executor executor;
  private final int threads;
  private final ArrayDeque<Step> idle = new ArrayDeque<>();
  private final List<Step> all = new ArrayList<>();
  private boolean closed;

  /** A pool; its steps project on up to so many threads. */
  public StepPool(
      EngramConfig config,
      int padId,
      List<LayerRuntime> layers,
      @Nullable Executor executor,
      int threads) {
    this.config = config;
    this.padId = padId;
    this.layers = layers;
    this.executor = executor;
    this.threads = threads;
  }

  /** Returns the layers, in the order of the configuration. */
  public List<LayerRuntime> layers() {
    return layers;
  }

  /**
   * Lends a step without tokens.
   *
   * @throws IllegalStateException if the pool is closed
   */
  public synchronized Step take() {
    if (closed) {
      throw new IllegalStateException("the model is closed");
    }
    Step step = idle.poll();
    if (step == null) {
      step = new Step(config, padId, layers, executor, threads);
      all.add(step);
    }
    return step;
  }

  /** Takes a step back. */
  public void give(Step step) {
    if (!emptied(step)) {
      step.close(); // which the model's end may be doing just now
    }
  }

  /** Empties a step, for the next; returns false if there is none any more. */
  private boolean emptied(Step step) {
    try {
      step.use.begin();
    } catch (IllegalStateException e) {
      return false;
    }
    try {
      step.cancel();
      step.windows().clear();
      synchronized (this) {
        if (!closed) {
          idle.push(step);
        }
        return !closed;
      }
    } finally {
      step.use.depth--;
    }
  }

  /** Returns the bytes of memory that its steps hold, lent or not. */
  public synchronized long bytes() {
    return all.stream().mapToLong(Step::bytes).sum();
  }

  @Override
  public void close() {
    List<Step> left;
    synchronized (this) {
      closed = true;
      idle.clear();
      left = List.copyOf(all);
    }
    for (Step step : left) {
      step.close(); // again, if this failed before
    }
    synchronized (this) {
      all.clear();
    }
  }
}
