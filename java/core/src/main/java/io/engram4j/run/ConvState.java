package io.engram4j.run;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;

import io.engram4j.weights.ConvWeights;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * What the short convolution of one layer remembers of one sequence: the normalised values of the
 * last tokens, a few more than it looks back on, so that speculative drafts can be taken back. One
 * owner at a time.
 *
 * <p>Rows of tokens follow each other in one array, so that a step of few tokens convolves in
 * place: {@link #window}, {@link #prepare}, {@link #commit}. For more tokens rows are copied to a
 * longer window and the last ones back: {@link #load}, {@link #store}.
 */
public final class ConvState {
  /** How many tokens can be taken back after they were applied, if nobody says otherwise. */
  public static final int ROLLBACK = 32;

  /** Most tokens that are convolved in place. Rows move to the front once per so many tokens. */
  public static final int IN_PLACE = 16;

  private final int reach;
  private final int channels;
  private final int rollback;
  private final float[] rows; // [reach + rollback + IN_PLACE, channels]
  private final MemorySegment memory;
  private int first; // position of the first row, which is known; below 0 are rows of zeros
  private int position;
  private @Nullable Supplier<MemorySegment> pending; // a window that is still being computed
  private int pendingFrom;

  /**
   * The state before the first token.
   *
   * @param rollback how many tokens can be taken back after they were applied
   */
  public ConvState(ConvWeights weights, int rollback) {
    this(weights.reach(), weights.channels(), rollback);
  }

  private ConvState(int reach, int channels, int rollback) {
    this.reach = reach;
    this.channels = channels;
    this.rollback = rollback;
    this.rows = new float[Math.multiplyExact(reach + rollback + IN_PLACE, channels)];
    this.memory = MemorySegment.ofArray(rows);
    this.first = -reach;
  }

  /** Returns an independent copy. */
  public ConvState fork() {
    settle();
    ConvState fork = new ConvState(reach, channels, rollback);
    System.arraycopy(rows, 0, fork.rows, 0, rows.length);
    fork.first = first;
    fork.position = position;
    return fork;
  }

  /** Returns how many tokens can be taken back after they were applied. */
  public int rollback() {
    return rollback;
  }

  /** Returns the number of tokens that were applied. */
  public int position() {
    return position;
  }

  /** Forgets that tokens from {@code length} on were applied. */
  public void truncate(int length) {
    settle();
    position = Math.min(position, length);
  }

  /** Returns whether tokens from {@code length} on can be taken back and others follow. */
  public boolean canTruncate(int length) {
    return length == 0 || length > position || length - reach >= first;
  }

  /** Returns whether {@link #requireLoadable} passes. */
  public boolean loadable(int from) {
    return from <= position && (from == 0 || from - reach >= first);
  }

  /**
   * Checks that a token's convolution has what it looks back on.
   *
   * @throws IllegalStateException if tokens before the position were not applied, or are no longer
   *     remembered
   */
  public void requireLoadable(int from) {
    if (from > position) {
      throw new IllegalStateException(
          "token "
              + from
              + " cannot be applied: the short convolution needs every token before it, and of this"
              + " sequence it has seen "
              + position);
    }
    if (from > 0 && from - reach < first) {
      throw new IllegalStateException(
          "token "
              + from
              + " cannot be applied again: the short convolution has seen "
              + position
              + " tokens and remembers those from "
              + Math.max(0, first)
              + " on; fork the sequence before going further back than "
              + rollback
              + " tokens");
    }
  }

  /** Returns the rows, float32 [rows, channels], on the heap: where a step convolves in place. */
  public MemorySegment window() {
    return memory;
  }

  /**
   * Makes room for the rows of tokens behind those they look back on.
   *
   * @param tokens at most {@link #IN_PLACE}
   * @return the row in {@link #window} that is the first token's
   * @throws IllegalStateException as {@link #requireLoadable} does
   */
  public int prepare(int from, int tokens) {
    settle();
    requireLoadable(from);
    begin(from);
    int behind = reach + rollback + IN_PLACE;
    if (from - first + tokens > behind) {
      moveFront(from - reach - rollback, from);
    }
    return from - first;
  }

  /** Forgets later tokens, whose rows may be overwritten; before the first come rows of zeros. */
  private void begin(int from) {
    position = Math.min(position, from);
    if (from == 0) {
      Arrays.fill(rows, 0, reach * channels, 0);
      first = -reach;
    }
  }

  /** Moves the rows of positions [newFirst, end) to the front. */
  private void moveFront(int newFirst, int end) {
    int kept = Math.max(newFirst, first);
    if (kept < end) {
      System.arraycopy(
          rows,
          (kept - first) * channels,
          rows,
          (kept - newFirst) * channels,
          (end - kept) * channels);
    }
    first = newFirst;
  }

  /** Tells that the rows of tokens, which {@link #prepare} made room for, were written. */
  public void commit(int from, int tokens) {
    position = from + tokens;
  }

  /**
   * Copies the rows that tokens from a position on look back on.
   *
   * @param to float32, at least [reach, channels]
   * @throws IllegalStateException as {@link #requireLoadable} does
   */
  public void load(int from, MemorySegment to) {
    settle();
    requireLoadable(from);
    begin(from);
    int at = (from - reach - first) * channels;
    MemorySegment.copy(rows, at, to, JAVA_FLOAT_UNALIGNED, 0, reach * channels);
  }

  /**
   * Remembers the values of tokens just convolved.
   *
   * @param window float32 [reach + tokens, channels] as the kernel left it
   */
  public void store(int from, int tokens, MemorySegment window) {
    settle();
    keep(from, tokens, window);
    position = from + tokens;
  }

  /**
   * Remembers the values of tokens whose convolution is queued on a device.
   *
   * @param window waits for them and returns the window, as {@link #store} takes it; asked once, by
   *     whoever needs it next
   */
  public synchronized void storeLater(int from, int tokens, Supplier<MemorySegment> window) {
    settle();
    pendingFrom = from;
    pending = window;
    position = from + tokens;
  }

  /**
   * Takes in what a device has computed meanwhile. Also for the device, from another thread than
   * the owner's, before it uses the window for something else.
   *
   * @throws RuntimeException what the device says; the tokens are then not applied
   */
  public synchronized void settle() {
    Supplier<MemorySegment> window = pending;
    if (window == null) {
      return;
    }
    pending = null;
    int to = position;
    position = pendingFrom; // should the device fail
    keep(pendingFrom, to - pendingFrom, window.get());
    position = to;
  }

  private void keep(int from, int tokens, MemorySegment window) {
    int newFirst = Math.max(-reach, from + tokens - reach - rollback);
    newFirst = Math.max(newFirst, first); // never back: what lies before is not known
    moveFront(newFirst, from);
    int copied = Math.max(newFirst, from);
    MemorySegment.copy(
        window,
        JAVA_FLOAT_UNALIGNED,
        4L * channels * (reach + copied - from),
        rows,
        (copied - newFirst) * channels,
        (from + tokens - copied) * channels);
  }

  /**
   * Returns the values that the next token needs, [reach, channels], zeros before the first.
   *
   * @throws IllegalStateException if not every token so far was applied
   */
  float[] window(int length) {
    if (position != length) {
      throw new IllegalStateException(
          "a snapshot needs every layer applied to all "
              + length
              + " tokens, but a convolution has seen "
              + position);
    }
    float[] window = new float[reach * channels];
    load(position, MemorySegment.ofArray(window));
    return window;
  }

  /**
   * Continues from a window that {@link #window} gave at a position.
   *
   * @throws IllegalArgumentException if it has not the size of this convolution's
   */
  void restore(int atPosition, float[] window) {
    if (window.length != reach * channels) {
      throw new IllegalArgumentException(
          "the convolution window has "
              + window.length
              + " values, but "
              + reach
              + " tokens of "
              + channels
              + " channels are "
              + reach * channels);
    }
    System.arraycopy(window, 0, rows, 0, window.length);
    first = atPosition - reach;
    position = atPosition;
  }
}
