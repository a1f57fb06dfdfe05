package io.engram4j.run;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.ConcurrentModificationException;

/**
 * Holds users to the rule of one owner at a time: a call that begins while another is under way is
 * refused, instead of two of them writing the same memory. Costs one compare-and-set a call; no
 * lock, since waiting would hide the mistake. A call within a call is refused as well, such as a
 * listener's that adds tokens to the batch that it listens to.
 */
public final class Owner {
  private static final VarHandle BUSY;

  static {
    try {
      BUSY = MethodHandles.lookup().findVarHandle(Owner.class, "busy", boolean.class);
    } catch (ReflectiveOperationException e) {
      throw new ExceptionInInitializerError(e);
    }
  }

  private final String what;

  /**
   * Set to false when a call ends. A write to a field takes no stack: a method would, and the
   * caller that ran out of stack in the midst left the object in use for ever.
   */
  public volatile boolean busy;

  /**
   * Nobody is in it yet.
   *
   * @param what such as {@code the batch}, for the message
   */
  public Owner(String what) {
    this.what = what;
  }

  /**
   * Begins a call.
   *
   * @throws ConcurrentModificationException if another is under way
   */
  public void enter() {
    if (!BUSY.compareAndSet(this, false, true)) {
      throw new ConcurrentModificationException(
          what + " is in use by another call: it has one owner at a time");
    }
  }
}
