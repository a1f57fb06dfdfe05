package io.engram4j.work;

import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * Pieces of work that one thread wants done and any number may do. Reused from turn to turn;
 * whoever comes late, even turns later, does no harm and may be of help.
 *
 * @param <C> what a helper brings, such as a buffer
 */
public abstract class SharedWork<C> {
  private final AtomicLong next = new AtomicLong(); // turn, and in the lower half the next piece
  private final AtomicInteger left = new AtomicInteger();
  private volatile int turn;
  private volatile int pieces;
  private volatile @Nullable Thread waiter;
  private volatile @Nullable Throwable failure;

  /** Does a piece; after one has failed, the others are left out. */
  protected abstract void piece(int index, C context) throws Exception;

  /** Begins a turn, by the thread that will {@link #await} its end. */
  public final void begin(int count) {
    int own = turn + 1;
    turn = own; // whoever still comes for the turn before gets nothing of this one by mistake
    failure = null;
    pieces = count;
    left.set(count);
    waiter = Thread.currentThread();
    next.set((long) own << 32);
  }

  /** Does pieces until there are none left. */
  public final void help(C context) {
    for (; ; ) {
      long claim = next.getAndIncrement();
      int index = (int) claim;
      boolean none = index >= pieces; // before the turn is looked at: it changes first
      if (none || (int) (claim >>> 32) != turn) {
        return;
      }
      try {
        if (failure == null) {
          piece(index, context);
        }
      } catch (Exception | Error e) {
        failure = e;
      } finally {
        if (left.decrementAndGet() == 0) {
          LockSupport.unpark(waiter);
        }
      }
    }
  }

  /** Leaves out the pieces that nobody has begun; to be followed by {@link #await}. */
  public final void abandon(Throwable reason, C context) {
    failure = reason;
    help(context);
  }

  /**
   * Waits until all pieces are done; an interrupt is kept for later, as they take no time worth
   * breaking. Returns what went wrong, or null.
   */
  public final @Nullable Throwable await() {
    boolean interrupted = false;
    while (left.get() > 0) {
      LockSupport.parkNanos(this, 1_000_000); // who ran out of stack does not wake others
      interrupted |= Thread.interrupted();
    }
    waiter = null;
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
    return failure;
  }
}
