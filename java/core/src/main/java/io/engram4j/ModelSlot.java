package io.engram4j;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import org.jspecify.annotations.Nullable;

/**
 * The place of the model that serves, in which another is put while calls go on. Who uses a model
 * takes a {@link Lease} of it for as long as its sequences live; a model that was swapped out is
 * closed with the last of its leases. Sequences move to the next model by {@link
 * EngramSequence#snapshot} and {@link EngramModel#restore}, if that has the same vocabulary and
 * hashing.
 *
 * <p>Thread-safe. Owns the models that are put into it.
 */
public final class ModelSlot implements AutoCloseable {
  private @Nullable Held held;
  private final List<Held> swappedOut = new ArrayList<>(); // those with leases

  /** A model and who uses it; guarded by the slot. */
  private static final class Held {
    final EngramModel model;
    int leases;

    Held(EngramModel model) {
      this.model = model;
    }
  }

  /** A model for as long as somebody uses it. Closing twice does nothing. */
  public final class Lease implements AutoCloseable {
    private final Held own;
    private final AtomicBoolean open = new AtomicBoolean(true);

    private Lease(Held own) {
      this.own = own;
    }

    /** Returns the model, which stays open until this is closed. */
    public EngramModel model() {
      return own.model;
    }

    @Override
    public void close() {
      if (open.getAndSet(false)) {
        release(own);
      }
    }
  }

  /** A place with a model in it. */
  public ModelSlot(EngramModel model) {
    this.held = new Held(model);
  }

  /**
   * Takes a lease of the model that is there now.
   *
   * @throws IllegalStateException if this is closed
   */
  public synchronized Lease lease() {
    Held now = held;
    if (now == null) {
      throw new IllegalStateException("there is no model any more");
    }
    Lease lease = new Lease(now);
    now.leases++;
    return lease;
  }

  /**
   * Puts another model in place, or back one that still has leases. The one before is closed now,
   * or with the last of its leases.
   *
   * @throws IllegalArgumentException if it is the one that is there, or is closed
   * @throws IllegalStateException if this is closed; then the model is still the caller's
   */
  public void swap(EngramModel next) {
    Held before;
    synchronized (this) {
      before = held;
      if (before == null) {
        throw new IllegalStateException("there is no place for a model any more");
      }
      if (before.model == next) {
        throw new IllegalArgumentException("the model is in place already");
      }
      if (!next.isOpen()) {
        throw new IllegalArgumentException("the model is closed");
      }
      held =
          swappedOut.stream()
              .filter(each -> each.model == next)
              .findFirst()
              .orElseGet(() -> new Held(next));
      swappedOut.remove(held);
      if (before.leases > 0) {
        swappedOut.add(before);
        return;
      }
    }
    before.model.close();
  }

  private void release(Held own) {
    synchronized (this) {
      own.leases--;
      if (own.leases > 0 || !swappedOut.remove(own)) {
        return;
      }
    }
    own.model.close();
  }

  /** Gives out no more leases; the model is closed now, or with the last of them. */
  @Override
  public void close() {
    Held last;
    synchronized (this) {
      last = held;
      held = null;
      if (last == null) {
        return;
      }
      if (last.leases > 0) {
        swappedOut.add(last);
        return;
      }
    }
    last.model.close();
  }
}
