package io.engram4j.ucx;

import io.engram4j.remote.Driver;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * Which of those who wait for messages lets a worker progress: one of them drives, the others
 * sleep, and the next of them drives on. Thread-safe.
 */
final class UcxDriver implements Driver {
  private static final long RECENTLY = 10_000_000; // ns

  private final Turns turns;
  private final AtomicReference<@Nullable Thread> driving = new AtomicReference<>();
  private final ConcurrentLinkedQueue<Thread> waiting = new ConcurrentLinkedQueue<>();
  private volatile long driven = System.nanoTime() - RECENTLY;

  /** What is driven. */
  interface Turns {
    /** Does what there is to do; returns whether one may sleep until something comes. */
    boolean turn();

    /** Sleeps until something comes, a millisecond at most; for one thread at a time. */
    void sleep();

    /** Returns whether there is nothing to drive any more. */
    boolean isOver();
  }

  UcxDriver(Turns turns) {
    this.turns = turns;
  }

  /**
   * Returns whether one of those who wait drives, or did so just now and will again. The worker's
   * own thread stays away then: two that wake for a reply are in each other's way.
   */
  boolean isDriven() {
    return driving.get() != null || System.nanoTime() - driven < RECENTLY;
  }

  @Override
  public void await(Waiting what, long nanos) {
    Thread own = Thread.currentThread();
    if (driving.compareAndSet(null, own)) {
      drive(what, System.nanoTime() + nanos);
      return;
    }
    waiting.add(own);
    if (driving.get() != null && !what.hasCome()) {
      LockSupport.parkNanos(this, nanos);
    }
    waiting.remove(own);
    if (driving.get() == null) {
      wakeNext(); // this one may have what it wants, and drive no more
    }
  }

  private void drive(Waiting what, long end) {
    try {
      while (!what.hasCome() && !turns.isOver() && end - System.nanoTime() > 0) {
        if (turns.turn() && !what.hasCome()) {
          turns.sleep();
        }
      }
    } finally {
      driven = System.nanoTime();
      driving.set(null);
      wakeNext();
    }
  }

  private void wakeNext() {
    Thread next = waiting.peek();
    if (next != null) {
      LockSupport.unpark(next);
    }
  }

  /** Waits until nobody drives; for when it is over, which who drives sees soon. */
  void awaitEnd() {
    while (driving.get() != null) {
      LockSupport.parkNanos(100_000);
    }
  }
}
