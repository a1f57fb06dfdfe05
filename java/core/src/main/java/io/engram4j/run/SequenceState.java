package io.engram4j.run;

import io.engram4j.weights.ConvWeights;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * What the layers know of one sequence: the ids that are hashed, and what the short convolutions
 * remember. One owner at a time.
 */
public final class SequenceState {
  /** The token gets no memory, and the look-back stops at it. */
  public static final int DEAD = 1 << 31;

  /** The look-back of later tokens stops at the token, which gets memory itself. */
  public static final int BARRIER = 1 << 30;

  private static final int ID = BARRIER - 1;

  private final int lookBack;
  private final int base; // position of ids[0]; above 0 after a restore
  private final @Nullable ConvState[] convStates; // per layer; null without a convolution
  private int[] ids; // each with its marks
  private int length;
  private int truncations; // tells a batch that tokens it was given may be others now

  /**
   * An empty sequence.
   *
   * @param convs per layer its convolution, or null
   * @param rollback how many tokens convolutions can take back
   */
  public SequenceState(int lookBack, List<@Nullable ConvWeights> convs, int rollback) {
    this(lookBack, 0, new int[16], states(convs, rollback));
  }

  private SequenceState(int lookBack, int base, int[] ids, @Nullable ConvState[] convStates) {
    this.lookBack = lookBack;
    this.base = base;
    this.ids = ids;
    this.length = base;
    this.convStates = convStates;
  }

  private static @Nullable ConvState[] states(List<@Nullable ConvWeights> convs, int rollback) {
    @Nullable ConvState[] states = new ConvState[convs.size()];
    for (int i = 0; i < states.length; i++) {
      ConvWeights conv = convs.get(i);
      states[i] = conv == null ? null : new ConvState(conv, rollback);
    }
    return states;
  }

  /**
   * A sequence that goes on from its last tokens.
   *
   * @param last the last ids that the next token looks back on, oldest first, with marks
   * @param windows of each layer with a convolution, what it remembers
   */
  public static SequenceState restore(
      int lookBack,
      List<@Nullable ConvWeights> convs,
      int rollback,
      int length,
      int[] last,
      List<float[]> windows) {
    @Nullable ConvState[] states = states(convs, rollback);
    long wanted = convs.stream().filter(Objects::nonNull).count();
    if (length > 0 && wanted != windows.size()) {
      throw new IllegalArgumentException(
          "the snapshot has "
              + windows.size()
              + " convolution windows, but this model has "
              + wanted);
    }
    int next = 0;
    for (ConvState state : states) {
      if (state != null && length > 0) {
        state.restore(length, windows.get(next++));
      }
    }
    int[] ids = Arrays.copyOf(last, Math.max(16, last.length));
    SequenceState restored = new SequenceState(lookBack, length - last.length, ids, states);
    restored.length = length;
    return restored;
  }

  /** Makes room for more tokens; allocates nothing but, now and then, a longer array. */
  public void reserve(int count) {
    int needed = Math.addExact(length, count) - base;
    if (needed > ids.length) {
      // as far as ArrayList goes beyond what is asked for, and never past what an array can hold
      long larger = Math.min(ids.length * 3L / 2, Integer.MAX_VALUE - 8);
      ids = Arrays.copyOf(ids, (int) Math.max(needed, larger));
    }
  }

  /** Writes an id with its marks behind the last token; it is seen when {@link #extend} is told. */
  public void set(int ahead, int marked) {
    ids[length - base + ahead] = marked;
  }

  /** Takes so many tokens in that were {@link #set}. */
  public void extend(int count) {
    length += count;
  }

  /** Returns the number of tokens. */
  public int length() {
    return length;
  }

  /** Returns how often tokens were taken back. */
  public int truncations() {
    return truncations;
  }

  /** Returns the id at a position with its marks; the position must be known. */
  public int at(int position) {
    return ids[position - base];
  }

  /** Returns the first position that is known. */
  public int base() {
    return base;
  }

  /** Returns the id of what {@link #at} gave. */
  public static int id(int marked) {
    return marked & ID;
  }

  /** Returns whether a token gets no memory. */
  public static boolean isDead(int marked) {
    return marked < 0;
  }

  /** Returns whether the look-back of later tokens stops at a token. */
  public static boolean isBarrier(int marked) {
    return (marked & (DEAD | BARRIER)) != 0;
  }

  /**
   * Takes back the tokens from {@code newLength} on.
   *
   * @throws IllegalStateException if what the next token needs is not known any more; then nothing
   *     is taken back
   */
  public void truncate(int newLength) {
    requireKnown(newLength);
    for (ConvState state : convStates) {
      if (state != null && !state.canTruncate(newLength)) {
        throw new IllegalStateException(
            "cannot truncate to "
                + newLength
                + " tokens: a short convolution has seen "
                + state.position()
                + " and can take back "
                + state.rollback()
                + "; fork the sequence before going further, or truncate to 0");
      }
    }
    length = newLength;
    truncations++;
    for (ConvState state : convStates) {
      if (state != null) {
        state.truncate(newLength);
      }
    }
  }

  private void requireKnown(int position) {
    if (Math.max(0, position - lookBack) < base) {
      throw new IllegalStateException(
          "position "
              + position
              + " looks back "
              + lookBack
              + " tokens, but this sequence was restored from a snapshot and knows its tokens from "
              + base
              + " on");
    }
  }

  /** Checks that the windows of tokens can be made. */
  public void requireRange(int from, int count) {
    Objects.checkFromIndexSize(from, count, length);
    if (count > 0) {
      requireKnown(from);
    }
  }

  /** Returns an independent copy. */
  public SequenceState fork() {
    @Nullable ConvState[] states = new ConvState[convStates.length];
    for (int i = 0; i < states.length; i++) {
      ConvState state = convStates[i];
      states[i] = state == null ? null : state.fork();
    }
    int[] copy = Arrays.copyOf(ids, Math.max(16, length - base));
    SequenceState fork = new SequenceState(lookBack, base, copy, states);
    fork.length = length;
    return fork;
  }

  /** Returns the last ids, which the next token looks back on, oldest first, with marks. */
  public int[] last() {
    int count = Math.min(length, lookBack);
    return Arrays.copyOfRange(ids, length - base - count, length - base);
  }

  /** Returns what the convolutions of all layers remember, for layers that have one. */
  public List<float[]> convWindows() {
    return Arrays.stream(convStates)
        .filter(Objects::nonNull)
        .map(state -> state.window(length))
        .toList();
  }

  /** Returns what the convolution of a layer remembers; the layer must have one. */
  public ConvState convState(int layerIndex) {
    return Objects.requireNonNull(convStates[layerIndex]);
  }
}
