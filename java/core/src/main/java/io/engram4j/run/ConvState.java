package io.engram4j.run;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;

import io.engram4j.kernel.java.JavaConv;
import io.engram4j.weights.ConvWeights;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;

/**
 * What the short convolution of one layer remembers of one sequence: the normalised values of the
 * last tokens, a few more than it looks back on, so that speculative drafts can be taken back. One
 * owner at a time.
 */
public final class ConvState {
  /** How many tokens can be taken back after they were applied. */
  public static final int ROLLBACK = 32;

  private final int reach;
  private final int channels;
  private final int capacity;
  private final float[] ring;
  private int position;
  private int oldest;

  /** The state before the first token. */
  public ConvState(ConvWeights weights) {
    this.reach = weights.reach();
    this.channels = weights.channels();
    this.capacity = reach + ROLLBACK;
    this.ring = new float[Math.multiplyExact(capacity, channels)];
  }

  private ConvState(ConvState other) {
    this.reach = other.reach;
    this.channels = other.channels;
    this.capacity = other.capacity;
    this.ring = other.ring.clone();
    this.position = other.position;
    this.oldest = other.oldest;
  }

  /** Returns an independent copy. */
  public ConvState fork() {
    return new ConvState(this);
  }

  /** Returns the number of tokens that were applied. */
  public int position() {
    return position;
  }

  /** Forgets that tokens from {@code length} on were applied. */
  public void truncate(int length) {
    position = Math.min(position, length);
    if (length == 0) {
      oldest = 0; // a fresh start needs no memory
    }
  }

  /** Returns whether tokens from {@code length} on can be taken back and others follow. */
  public boolean canTruncate(int length) {
    return length == 0 || length > position || Math.max(0, length - reach) >= oldest;
  }

  /** Returns whether {@link #requireLoadable} passes. */
  public boolean loadable(int from) {
    return from <= position && (from == 0 || Math.max(0, from - reach) >= oldest);
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
    if (from > 0 && Math.max(0, from - reach) < oldest) {
      throw new IllegalStateException(
          "token "
              + from
              + " cannot be applied again: the short convolution has seen "
              + position
              + " tokens and remembers those from "
              + oldest
              + " on; fork the sequence before going further back than "
              + ROLLBACK
              + " tokens");
    }
  }

  /**
   * Writes the values of the {@code reach} tokens before a position, zeros before the first token.
   *
   * @param window float32, at least [reach, channels]
   * @throws IllegalStateException as {@link #requireLoadable} does
   */
  public void load(int from, MemorySegment window) {
    requireLoadable(from);
    for (int row = 0; row < reach; row++) {
      int token = from - reach + row;
      long at = 4L * row * channels;
      if (token < 0) {
        window.asSlice(at, 4L * channels).fill((byte) 0);
      } else {
        MemorySegment.copy(
            ring, token % capacity * channels, window, JAVA_FLOAT_UNALIGNED, at, channels);
      }
    }
  }

  /**
   * Remembers the values of tokens just convolved.
   *
   * @param window float32 [reach + tokens, channels] as {@link JavaConv#conv} left it
   */
  public void store(int from, int tokens, MemorySegment window) {
    for (int i = Math.max(0, tokens - capacity); i < tokens; i++) {
      long at = 4L * (reach + i) * channels;
      MemorySegment.copy(
          window, JAVA_FLOAT_UNALIGNED, at, ring, (from + i) % capacity * channels, channels);
    }
    position = from + tokens;
    oldest = from == 0 ? Math.max(0, position - capacity) : Math.max(oldest, position - capacity);
  }

  /** Returns the values that the next token needs, [reach, channels], zeros before the first. */
  public float[] window() {
    float[] window = new float[reach * channels];
    load(position, MemorySegment.ofArray(window));
    return window;
  }

  /**
   * Continues from a window that {@link #window} gave at a position.
   *
   * @throws IllegalArgumentException if it has not the size of this convolution's
   */
  public void restore(int atPosition, float[] window) {
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
    Arrays.fill(ring, 0);
    for (int row = 0; row < reach; row++) {
      int token = atPosition - reach + row;
      if (token >= 0) {
        System.arraycopy(window, row * channels, ring, token % capacity * channels, channels);
      }
    }
    position = atPosition;
    oldest = Math.max(0, atPosition - reach);
  }
}
