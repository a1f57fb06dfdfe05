package io.engram4j.run;

import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.Executor;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * How long something lives that calls use: a model's tables, or what a view of it has of its own.
 * Closing refuses new calls; what is owned is freed at once, or by a thread that waits for the
 * calls under way. A call in a view is one in the model as well, so that closing the model closes
 * its views. Thread-safe.
 *
 * <p>Calls may nest, so these are counters and no lock: one that waits to close never holds up a
 * call under way. Entering and leaving allocate nothing. A call never frees anything: it may end
 * where there is no stack left. What runs layers has a {@link Call} for the same reason, and leaves
 * it by a write to a field.
 */
public final class Lifetime implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(Lifetime.class);
  private static final int CLOSING = 1 << 30;
  private static final int STACK_TO_EXIT = 50; // frames
  private static final long POLL_NANOS = 1_000_000;

  private final @Nullable Lifetime parent;
  private final @Nullable AutoCloseable owned;
  private final AtomicInteger users = new AtomicInteger();
  private final AtomicBoolean freed = new AtomicBoolean();
  private final Set<Lifetime> children = new HashSet<>(); // those not closed yet
  private final Set<Call> calls = new HashSet<>();
  private @Nullable ExecutorService threads;
  private @Nullable Thread closer;
  private boolean ended;

  /** Calls of one owner at a time, one after the other or nested. */
  public static final class Call implements AutoCloseable {
    private final Lifetime lifetime;

    /** How many are under way: the owner takes one away when its call ends. */
    public volatile int depth;

    private Call(Lifetime lifetime) {
      this.lifetime = lifetime;
    }

    /**
     * Begins a call.
     *
     * @throws IllegalStateException if it is closed
     */
    @SuppressWarnings("NonAtomicVolatileUpdate") // by its owner alone
    public void begin() {
      depth++; // before looking whether it is closed, so that close sees it
      boolean open = false;
      try {
        open = lifetime.isOpen();
      } finally {
        if (!open) { // or there is no stack left to look
          depth--;
        }
      }
      if (!open) {
        throw new IllegalStateException("the model is closed");
      }
    }

    /** The owner makes no more calls. */
    @Override
    public void close() {
      synchronized (lifetime) {
        lifetime.calls.remove(this);
      }
    }
  }

  /** Begins the life of something, which is freed at its end; null if somebody else frees it. */
  public Lifetime(@Nullable AutoCloseable owned) {
    this(null, owned);
  }

  private Lifetime(@Nullable Lifetime parent, @Nullable AutoCloseable owned) {
    this.parent = parent;
    this.owned = owned;
  }

  /**
   * Begins the life of a view's own, which ends with this one at the latest.
   *
   * @throws IllegalStateException if this is closed
   */
  public Lifetime child(AutoCloseable ownedByChild) {
    Lifetime child = new Lifetime(this, ownedByChild);
    synchronized (this) {
      if (!isOpen()) { // free looks at the children later, under this lock
        throw new IllegalStateException("the model is closed");
      }
      children.add(child);
    }
    return child;
  }

  /** Returns what an owner makes its calls with. */
  public synchronized Call newCall() {
    if (freed.get()) {
      throw new IllegalStateException("the model is closed");
    }
    Call call = new Call(this);
    calls.add(call);
    return call;
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
    requireStack(STACK_TO_EXIT);
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
    users.decrementAndGet();
    if (parent != null) {
      parent.exit();
    }
  }

  /** Runs out of stack now if {@link #exit} could later, which would keep the model for ever. */
  private static int requireStack(int frames) {
    return frames == 0 ? 0 : 1 + requireStack(frames - 1);
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

  /** Refuses calls from now on and frees what is owned, or has it freed after the last call. */
  @Override
  public void close() {
    endThreads();
    users.getAndUpdate(n -> n | CLOSING);
    if (isUnused()) {
      free();
    } else {
      freeLater();
    }
  }

  private synchronized void freeLater() {
    if (closer == null) {
      closer = Thread.ofPlatform().daemon().name("engram-close").start(this::awaitAndFree);
    }
  }

  private void awaitAndFree() {
    while (!isUnused()) {
      LockSupport.parkNanos(this, POLL_NANOS); // an end without stack could wake nobody
    }
    while (!freed.get()) {
      try {
        free();
      } catch (RuntimeException e) {
        LOG.warn("a closed model was not freed whole", e);
      } catch (OutOfMemoryError e) {
        LockSupport.parkNanos(this, POLL_NANOS); // others may give some back
      }
    }
  }

  private boolean isUnused() {
    return users.get() == CLOSING && isQuiet();
  }

  /** Whether no owner is in a call, of this or of a view. */
  private boolean isQuiet() {
    List<Lifetime> views;
    synchronized (this) {
      for (Call call : calls) {
        if (call.depth > 0) {
          return false;
        }
      }
      views = List.copyOf(children);
    }
    return views.stream().allMatch(Lifetime::isQuiet);
  }

  private void free() {
    if (!freed.compareAndSet(false, true)) {
      return;
    }
    try {
      List<Lifetime> left;
      synchronized (this) {
        left = List.copyOf(children);
      }
      RuntimeException failure = null;
      for (Lifetime child : left) {
        failure = closed(child, failure);
      }
      failure = closed(owned, failure);
      if (parent != null) {
        parent.forget(this);
      }
      if (failure != null) {
        throw failure;
      }
    } catch (Error e) {
      freed.set(false); // no stack or no memory: the rest by closing again
      throw e;
    }
  }

  /** Closes something, whatever failed before; returns what did first. */
  private static @Nullable RuntimeException closed(
      @Nullable AutoCloseable each, @Nullable RuntimeException before) {
    if (each == null) {
      return before;
    }
    try {
      each.close();
      return before;
    } catch (Exception e) {
      if (before != null) {
        before.addSuppressed(e);
        return before;
      }
      return e instanceof RuntimeException unchecked
          ? unchecked
          : new IllegalStateException("the tables could not be closed", e);
    }
  }

  private synchronized void forget(Lifetime child) {
    children.remove(child);
  }
}
