package io.engram4j.work;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;

/** Work on many parts by a few threads; the first failure stops all of them. */
public final class Parallel {
  private Parallel() {}

  /** A thread's share: takes parts until there are none left. */
  public interface Worker extends AutoCloseable {
    /** Does a part. */
    void part(long index) throws IOException;

    @Override
    void close() throws IOException;
  }

  /** Makes a thread's share. */
  public interface Workers {
    /** Called by the thread that will use it. */
    Worker open() throws IOException;
  }

  /**
   * Runs parts {@code [0, parts)}, each once, and returns when all have ended.
   *
   * @throws IOException the first failure of a worker
   */
  public static void run(String name, int threads, long parts, Workers workers) throws IOException {
    AtomicLong next = new AtomicLong();
    AtomicReference<@Nullable Throwable> failure = new AtomicReference<>();
    List<Thread> started = new ArrayList<>();
    try {
      for (int i = 0; i < Math.min(threads, parts); i++) {
        started.add(
            Thread.ofPlatform()
                .daemon()
                .name("engram-" + name + "-" + i)
                .start(() -> work(next, parts, workers, failure)));
      }
    } catch (Throwable e) { // no thread: those that there are must end before what they use does
      failure.compareAndSet(null, e);
    }
    boolean interrupted = false;
    for (Thread thread : started) {
      while (thread.isAlive()) {
        try {
          thread.join();
        } catch (InterruptedException e) {
          interrupted = true;
          failure.compareAndSet(null, new IOException(name + " was interrupted", e));
        }
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
    Failures.rethrowIo(failure.get());
  }

  private static void work(
      AtomicLong next, long parts, Workers workers, AtomicReference<@Nullable Throwable> failure) {
    try (Worker worker = workers.open()) {
      while (failure.get() == null) {
        long part = next.getAndIncrement();
        if (part >= parts) {
          return;
        }
        worker.part(part);
      }
    } catch (Throwable e) {
      failure.compareAndSet(null, e);
    }
  }
}
