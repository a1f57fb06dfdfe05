package io.engram4j;

import io.engram4j.backend.Backend;
import io.engram4j.project.Linear;
import io.engram4j.work.SharedWork;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import org.jspecify.annotations.Nullable;

/**
 * Runs the stage project on several threads: outputs are split, so that each reads its part of the
 * weights once. The calling thread works as well, and does everything if no other is free. One per
 * batch; for one thread at a time.
 */
final class Projector extends SharedWork<Integer> implements Runnable {
  /** Pieces per thread, so that one which comes late, or is slow, holds up the others little. */
  private static final int PIECES = 4;

  private final @Nullable Executor executor;
  private final int threads;
  private Backend.@Nullable Project kernel;
  private MemorySegment rows = MemorySegment.NULL;
  private MemorySegment kv = MemorySegment.NULL;
  private int tokens;
  private int outputs;
  private int step;

  /** One that takes up to so many threads, the caller's included. */
  Projector(@Nullable Executor executor, int threads) {
    this.executor = executor;
    this.threads = threads;
  }

  void run(Backend.Project project, MemorySegment from, int count, int width, MemorySegment to) {
    Executor helpers = executor;
    if (helpers == null || threads == 1) {
      project.run(from, count, 0, width, to);
      return;
    }
    kernel = project;
    rows = from;
    tokens = count;
    outputs = width;
    kv = to;
    int tiles = Linear.tiles(width);
    step = Linear.TILE * Math.max(1, (tiles + threads * PIECES - 1) / (threads * PIECES));
    begin((width + step - 1) / step);
    Throwable refused = null;
    try {
      for (int i = 1; i < threads; i++) {
        helpers.execute(this);
      }
    } catch (RejectedExecutionException e) {
      // then those who came are enough
    } catch (RuntimeException | Error e) {
      refused = e; // not now: those who came are at work
    }
    help(0);
    Throwable failure = await();
    switch (failure == null ? refused : failure) {
      case null -> {}
      case RuntimeException e -> throw e;
      case Error e -> throw e;
      case Throwable e -> throw new IllegalStateException(e);
    }
  }

  /** What a helper does when it comes. */
  @Override
  public void run() {
    help(0);
  }

  @Override
  protected void piece(int index, Integer context) {
    Backend.Project project = kernel;
    if (project != null) {
      int first = index * step;
      project.run(rows, tokens, first, Math.min(step, outputs - first), kv);
    }
  }
}
