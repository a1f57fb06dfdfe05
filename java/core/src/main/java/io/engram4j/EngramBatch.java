package io.engram4j;

import io.engram4j.run.Lifetime;
import io.engram4j.run.Owner;
import io.engram4j.run.Step;
import io.engram4j.run.StepPool;
import io.engram4j.run.Windows;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.Executor;
import org.jspecify.annotations.Nullable;

/**
 * The tokens that one step of the model runs: a range of one sequence, or of many at once, in the
 * order in which their hidden states lie. It resolves look-back, padding and dead tokens into a
 * window of ids per token, the same for all layers, and holds the scratch memory of a step, so
 * reusing one allocates nothing. Made by {@link EngramModel#newBatch}; one owner at a time, and a
 * call while another is under way ends in a {@link java.util.ConcurrentModificationException}.
 *
 * <p>Closing it gives its memory back to the model, for the next batch; a batch that nobody closes
 * holds its memory until the model is closed.
 */
@SuppressWarnings("NonAtomicVolatileUpdate") // of calls, which are the step's alone
public final class EngramBatch implements AutoCloseable {
  private final StepPool steps;
  private final Lifetime lifetime;
  private final Owner owner = new Owner("the batch");
  private @Nullable Step step;

  EngramBatch(StepPool steps, Lifetime lifetime) {
    this.steps = steps;
    this.lifetime = lifetime;
    this.step = steps.take();
  }

  Step step() {
    Step own = step;
    if (own == null) {
      throw new IllegalStateException("the batch is closed");
    }
    if (own.isClosed()) {
      throw new IllegalStateException("the model is closed");
    }
    return own;
  }

  Lifetime lifetime() {
    return lifetime;
  }

  /**
   * Begins a call that uses the memory, which {@code use.depth--} and {@code owner.busy = false}
   * end.
   */
  Step enter() {
    owner.enter();
    boolean entered = false;
    try {
      Step own = step();
      own.use.begin();
      entered = true;
      return own;
    } finally {
      if (!entered) {
        owner.busy = false;
      }
    }
  }

  Owner owner() {
    return owner;
  }

  /** Empties the batch and keeps its memory; gives up what was being prefetched. */
  public EngramBatch clear() {
    Step own = enter();
    try {
      own.cancel();
      own.windows().clear();
    } finally {
      own.use.depth--;
      owner.busy = false;
    }
    return this;
  }

  /**
   * Adds {@code count} tokens of a sequence, from a position on. Later changes of the sequence do
   * not change the row ids of tokens that were added.
   *
   * @throws IndexOutOfBoundsException if the sequence has no such tokens
   * @throws IllegalArgumentException if the sequence belongs to another model
   */
  public EngramBatch add(EngramSequence sequence, int position, int count) {
    if (sequence.lifetime().root() != lifetime.root()) {
      throw new IllegalArgumentException("the sequence belongs to another model");
    }
    Step own = enter();
    try {
      Owner other = sequence.owner();
      other.enter();
      try {
        sequence.state().requireRange(position, count);
        own.cancel();
        own.windows().add(sequence.state(), position, count);
      } finally {
        other.busy = false;
      }
    } finally {
      own.use.depth--;
      owner.busy = false;
    }
    return this;
  }

  /**
   * Begins to fetch the rows of all layers, so that {@link EngramLayer#apply} on this batch waits
   * only for what is not there yet. Call it as soon as the tokens are known, and compute the layers
   * before the Engram ones meanwhile. A failure shows in {@code apply}. Adding tokens to the batch,
   * or clearing it, gives the rows up.
   *
   * @param executor runs a short task for each layer, or one for layers whose tables are asked
   *     together; it waits for memory, disk or other machines. With no thread free, and where it
   *     refuses tasks, {@code apply} does the work itself
   * @throws IllegalStateException if the model was opened for hashing only
   */
  public EngramBatch prefetch(Executor executor) {
    Step own = enter();
    try {
      own.prefetch(executor);
    } finally {
      own.use.depth--;
      owner.busy = false;
    }
    return this;
  }

  /** Returns the number of tokens. */
  public int tokens() {
    return step().windows().tokens();
  }

  /**
   * Returns per token its compressed id and those before it, newest first, int32 [tokens,
   * maxNgram], with the pad id where the look-back is blocked. Valid until the next {@link #add}.
   */
  public MemorySegment windows() {
    return step().windows().windows();
  }

  /** Returns per token 1, or 0 for a dead one, int8 [tokens]. Valid until the next {@link #add}. */
  public MemorySegment mask() {
    return step().windows().mask();
  }

  /** Returns the tokens with their sequences: for devices, whose module has that package. */
  public Windows parts() {
    return step().windows();
  }

  /**
   * Runs something that reads the batch while no other call changes it: for devices, whose module
   * copies what is in it.
   *
   * @throws java.util.ConcurrentModificationException if another call on the batch is under way
   * @throws IllegalStateException if the batch or its model is closed
   */
  public void whileHeld(Runnable reading) {
    Step own = enter();
    try {
      reading.run();
    } finally {
      own.use.depth--;
      owner.busy = false;
    }
  }

  /** Gives the memory back to the model. Closing twice does nothing. */
  @Override
  public void close() {
    owner.enter();
    try {
      Step own = step;
      if (own != null) {
        step = null;
        steps.give(own);
      }
    } finally {
      owner.busy = false;
    }
  }
}
