package io.engram4j.run;

import java.util.HashSet;
import java.util.Set;
import java.util.concurrent.Executor;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;

/**
 * How long something lives that calls use: a model's tables, or what a view of it has of its own.
 * Closing refuses new calls; what is owned is freed when the last call under way has ended. A call
 * in a view is one in the model as well, so that closing the model closes its views. Thread-safe.
 *
 * <p>Calls may nest, so this is a counter and no lock: one that waits to close never holds up a
 * call under way. Entering and leaving allocate nothing.
 */
public final class Lifetime implements AutoCloseable {
  private static final int CLOSING = 1 << 30;

  private final @Nullable Lifetime parent;
  private final @Nullable AutoCloseable owned;
  private final AtomicInteger users = new AtomicInteger();
  private final AtomicBoolean freed = new AtomicBoolean();
  private final Set<Lifetime> children = new HashSet<>(); // those not closed yet
  private @Nullable ExecutorService threads;
  private boolean ended;

  /** Begins the life of something, which is freed at its end; null if somebody else frees it. */
  public Lifetime(@Nullable AutoCloseable owned) {
    this(null, owned);
  }

  private Lifetime(@Nullable Lifetime parent, @Nullable AutoCloseable owned) {
    this.parent = parent;
    this.owned = owned;
  }

  /** Begins the life of a view's own, which ends with this one at the latest. */
  public Lifetime child(AutoCloseable ownedByChild) {
    Lifetime child = new Lifetime(this, ownedByChild);
    synchronized (this) {
      children.add(child);
    }
    return child;
  }

  /** Returns the life of the model; of a model its own. */
  public Lifetime root() {
    return parent == null ? this : parent.root();
  }

  /** Returns whether calls are taken. */
  public boolean isOpen() {
    return users.get() < CLOSING && (parent == null || parent.isOpen());
  }

  /**
   * Begins a call.
   *
   * @throws IllegalStateException if it is closed
   */
  public void enter() {
    if (parent != null) {
      parent.enter();
    }
    if (users.incrementAndGet() >= CLOSING) {
      exit();
      throw new IllegalStateException("the model is closed");
    }
  }

  /** Ends a call. */
  public void exit() {
    if (users.decrementAndGet() == CLOSING) {
      free();
    }
    if (parent != null) {
      parent.exit();
    }
  }

  /** Returns daemon threads, started when they are first wanted; they end when this closes. */
  public Executor threads(int count) {
    return parent != null ? parent.threads(count) : ownThreads(count);
  }

  private synchronized Executor ownThreads(int count) {
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

  /** Refuses calls from now on; the last call under way frees what is owned, or else this one. */
  @Override
  public void close() {
    endThreads();
    int before = users.getAndUpdate(n -> n | CLOSING);
    if (before == 0) {
      free();
    }
  }

  private void free() {
    if (!freed.compareAndSet(false, true)) {
      return;
    }
    Set<Lifetime> left;
    synchronized (this) {
      left = Set.copyOf(children);
    }
    left.forEach(Lifetime::close);
    try {
      if (owned != null) {
        owned.close();
      }
    } catch (RuntimeException e) {
      throw e;
    } catch (Exception e) {
      throw new IllegalStateException("the tables could not be closed", e);
    } finally {
      if (parent != null) {
        parent.forget(this);
      }
    }
  }

  private synchronized void forget(Lifetime child) {
    children.remove(child);
  }
}
