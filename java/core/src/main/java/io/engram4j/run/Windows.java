package io.engram4j.run;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT_UNALIGNED;

import io.engram4j.host.Buffer;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * The tokens of one step: ranges of one or more sequences, each token with the window of ids that
 * it is hashed by. Look-back, padding and dead tokens are resolved here, once for all layers. One
 * owner at a time.
 */
public final class Windows implements AutoCloseable {
  private final int maxNgram;
  private final int padId;
  private final Buffer windows = new Buffer();
  private final Buffer mask = new Buffer();
  private @Nullable SequenceState[] sequences = new SequenceState[1];
  private int[] from = new int[1]; // per part, its first token's position in its sequence
  private int[] truncations = new int[1]; // per part, how often its sequence had been cut by then
  private int[] start = new int[2]; // per part, its first token in the step; then the total
  private int parts;

  /** No tokens. */
  public Windows(int maxNgram, int padId) {
    this.maxNgram = maxNgram;
    this.padId = padId;
  }

  /** Forgets all tokens and keeps the memory. */
  public void clear() {
    Arrays.fill(sequences, 0, parts, null); // keeps none alive
    parts = 0;
  }

  /**
   * Adds tokens of a sequence.
   *
   * @throws IndexOutOfBoundsException if the sequence has no such tokens; then nothing is added
   */
  public void add(SequenceState sequence, int position, int count) {
    sequence.requireRange(position, count);
    int first = tokens();
    int total = Math.addExact(first, count);
    windows.extend(4L * maxNgram * total);
    mask.extend(total);
    if (parts == sequences.length) {
      sequences = Arrays.copyOf(sequences, 2 * parts);
      from = Arrays.copyOf(from, 2 * parts);
      truncations = Arrays.copyOf(truncations, 2 * parts);
      start = Arrays.copyOf(start, 2 * parts + 1);
    }
    for (int i = 0; i < count; i++) {
      resolve(sequence, position + i, first + i);
    }
    sequences[parts] = sequence;
    from[parts] = position;
    truncations[parts] = sequence.truncations();
    start[parts + 1] = total;
    parts++;
  }

  private void resolve(SequenceState sequence, int position, int token) {
    MemorySegment to = windows.get();
    boolean blocked = false; // sticky: everything older is padding as well
    for (int shift = 0; shift < maxNgram; shift++) {
      int id = padId;
      if (!blocked && position >= shift) {
        int known = sequence.at(position - shift);
        // a barrier sees what it ends; what comes after it does not see it
        blocked = shift == 0 ? SequenceState.isDead(known) : SequenceState.isBarrier(known);
        id = blocked ? padId : SequenceState.id(known);
      }
      to.setAtIndex(JAVA_INT_UNALIGNED, (long) token * maxNgram + shift, id);
    }
    boolean live = !SequenceState.isDead(sequence.at(position));
    mask.get().set(JAVA_BYTE, token, (byte) (live ? 1 : 0));
  }

  /** Returns the number of tokens. */
  public int tokens() {
    return parts == 0 ? 0 : start[parts];
  }

  /** Returns the windows from a token on, int32 [tokens, maxNgram], newest first. */
  public MemorySegment windowsFrom(int token) {
    return token == 0 ? windows.get() : windows.get().asSlice(4L * token * maxNgram);
  }

  /** Returns from a token on whether each gets memory, int8 [tokens]. */
  public MemorySegment maskFrom(int token) {
    return token == 0 ? mask.get() : mask.get().asSlice(token);
  }

  /** Returns the windows of the tokens and no more. */
  public MemorySegment windows() {
    return windows.get().asSlice(0, 4L * tokens() * maxNgram);
  }

  /** Returns the mask of the tokens and no more. */
  public MemorySegment mask() {
    return mask.get().asSlice(0, tokens());
  }

  /** Returns whether these are the last tokens of a sequence and nothing else. */
  public boolean areLast(SequenceState sequence, int count) {
    return parts == 1
        && sequences[0] == sequence
        && tokens() == count
        && from[0] == sequence.length() - count
        && truncations[0] == sequence.truncations();
  }

  /** Returns the number of ranges. */
  public int parts() {
    return parts;
  }

  /** Returns the sequence of a range. */
  public SequenceState sequence(int part) {
    return Objects.requireNonNull(sequences[part]);
  }

  /** Returns the first token of a range. */
  public int start(int part) {
    return start[part];
  }

  /** Returns the token behind a range. */
  public int end(int part) {
    return start[part + 1];
  }

  /** Returns the position of a range's token in its sequence. */
  public int position(int part, int token) {
    return from[part] + token - start[part];
  }

  /**
   * Checks, before any token is touched, that the convolutions of a layer can go on: each range
   * where its sequence, or the range before it in this step, leaves off.
   *
   * @throws IllegalStateException if one cannot
   */
  public void requireConvolvable(int layerIndex) {
    for (int part = 0; part < parts; part++) {
      SequenceState sequence = sequence(part);
      if (sequence.truncations() != truncations[part]) {
        throw new IllegalStateException(
            "a sequence was truncated after its tokens were added to this batch; clear the batch");
      }
      boolean empty = start[part + 1] == start[part];
      ConvState state = sequence.convState(layerIndex);
      if (!empty && !state.loadable(from[part]) && !goesOn(part)) {
        state.requireLoadable(from[part]); // throws, with the reason
      }
    }
  }

  /** Whether an earlier range of the same sequence ends where this one begins, or later. */
  private boolean goesOn(int part) {
    for (int before = 0; before < part; before++) {
      int end = from[before] + start[before + 1] - start[before];
      if (sequence(before) == sequence(part) && end >= from[part]) {
        return true;
      }
    }
    return false;
  }

  /** Returns the bytes of memory that are held. */
  public long bytes() {
    return windows.bytes() + mask.bytes();
  }

  @Override
  public void close() {
    clear();
    windows.close();
    mask.close();
  }
}
