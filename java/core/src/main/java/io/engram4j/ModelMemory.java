package io.engram4j;

import java.util.concurrent.Executor;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;

/**
 * The tables' memory, shared by all views of a model, and how many calls are using it. Calls may
 * nest, so this is a counter and no lock: one that waits to close never holds up a call under way.
 */
final class ModelMemory {
  private static final int CLOSING = 1 << 30;

  private final @Nullable AutoCloseable owner;
  private final AtomicInteger users = new AtomicInteger();
  private final AtomicBoolean freed = new AtomicBoolean();
  private @Nullable ExecutorService threads;
  private boolean ended;

  ModelMemory(@Nullable AutoCloseable owner) {
    this.owner = owner;
  }

  boolean isOpen() {
    return users.get() < CLOSING;
  }

  void enter() {
    if (users.incrementAndGet() >= CLOSING) {
      exit();
      throw new IllegalStateException("the model is closed");
    }
  }

  void exit() {
    if (users.decrementAndGet() == CLOSING) {
      free();
    }
  }

  synchronized Executor threads(int count) {
    if (ended) {
      throw new IllegalStateException("the model is closed");
    }
    if (threads == null) {
      threads =
          Executors.newFixedThreadPool(
              count, Thread.ofPlatform().daemon().name("engram-prefetch-", 0).factory());
    }
    return threads;
  }

  private synchronized void endThreads() {
    ended = true;
    if (threads != null) {
      threads.shutdown(); // what is queued finds the model closed
    }
  }

  /** The last call under way frees the memory; without any, this one does. */
  void close() {
    endThreads();
    int before = users.getAndUpdate(n -> n | CLOSING);
    if (before == 0) {
      free();
    }
  }

  private void free() {
    if (!freed.compareAndSet(false, true) || owner == null) {
      return;
    }
    try {
      owner.close();
    } catch (RuntimeException e) {
      throw e;
    } catch (Exception e) {
      throw new IllegalStateException("the tables could not be closed", e);
    }
  }
}
