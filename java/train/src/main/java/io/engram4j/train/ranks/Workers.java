package io.engram4j.train.ranks;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.IntConsumer;

/** Threads of a trainer. Thread-safe. */
public final class Workers implements AutoCloseable {
  private final int threads;
  private final ExecutorService executor;

  /** Starts none until there is work. */
  public Workers(int threads) {
    this.threads = threads;
    this.executor =
        Executors.newFixedThreadPool(
            threads, Thread.ofPlatform().daemon().name("engram-train-", 0).factory());
  }

  /** Does each of {@code [0, count)} on some thread; returns when all are done. */
  public void each(int count, IntConsumer work) {
    AtomicInteger next = new AtomicInteger();
    List<Callable<Void>> tasks = new ArrayList<>();
    for (int i = 0; i < Math.min(threads, count); i++) {
      tasks.add(() -> {
        for (int at = next.getAndIncrement(); at < count; at = next.getAndIncrement()) {
          work.accept(at);
        }
        return null;
      });
    }
    run(tasks);
  }

  /**
   * Runs tasks, each on a thread of its own where there are as many.
   *
   * @throws IllegalStateException if this thread is interrupted, or a task by a checked exception
   */
  public void run(List<Callable<Void>> tasks) {
    try {
      for (Future<Void> done : executor.invokeAll(tasks)) {
        done.get();
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted while training", e);
    } catch (ExecutionException e) {
      if (e.getCause() instanceof RuntimeException cause) {
        throw cause;
      }
      if (e.getCause() instanceof Error cause) {
        throw cause;
      }
      throw new IllegalStateException(e.getCause());
    }
  }

  @Override
  public void close() {
    executor.shutdownNow();
  }
}
