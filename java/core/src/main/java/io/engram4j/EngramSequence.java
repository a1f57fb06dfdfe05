package io.engram4j;

import io.engram4j.memo.NgramSeed;
import io.engram4j.model.TokenMap;
import io.engram4j.run.ConvState;
import io.engram4j.weights.ConvWeights;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.Executor;
import org.jspecify.annotations.Nullable;

/**
 * The tokens of one sequence as Engram sees them: their compressed ids, 4 bytes each, and, for the
 * paper's variant, what the short convolutions remember. Row ids are a pure function of the ids, so
 * appending in chunks or one by one, taking back and forking give the same rows.
 *
 * <p>A dead token (a position of an image) blocks the look-back of every token after it and gets no
 * memory itself (specification, section 5.4). Made by {@link EngramModel#newSequence}; one owner at
 * a time.
 */
public final class EngramSequence {
  static final int DEAD = -1;

  private final EngramModel model;
  private final TokenMap map;
  private final int lookBack;
  private final int base; // position of ids[0]; above 0 after a restore
  private final ConvState[] convStates; // per layer; empty for variants without convolution
  private int[] ids;
  private @Nullable EngramBatch batch;
  private int length;
  private int truncations; // tells a batch that tokens it was given may be others now

  EngramSequence(EngramModel model, TokenMap map) {
    this(model, map, 0, new int[16], convStates(model));
  }

  private EngramSequence(
      EngramModel model, TokenMap map, int base, int[] ids, ConvState[] convStates) {
    this.model = model;
    this.map = map;
    this.lookBack = model.config().maxNgram() - 1;
    this.base = base;
    this.ids = ids;
    this.length = base;
    this.convStates = convStates;
  }

  private static ConvState[] convStates(EngramModel model) {
    List<ConvState> states = new ArrayList<>();
    for (EngramLayer layer : model.layers()) {
      ConvWeights conv = layer.hasWeights() ? layer.weights().conv() : null;
      if (conv != null) {
        states.add(new ConvState(conv));
      }
    }
    return states.toArray(ConvState[]::new);
  }

  static EngramSequence restore(EngramModel model, TokenMap map, SequenceSnapshot snapshot) {
    int[] last = snapshot.lastIds();
    int lookBack = model.config().maxNgram() - 1;
    if (last.length != Math.min(snapshot.length(), lookBack)) {
      throw new IllegalArgumentException(
          "the snapshot of "
              + snapshot.length()
              + " tokens has "
              + last.length
              + " ids, but this model needs the last "
              + Math.min(snapshot.length(), lookBack));
    }
    for (int id : last) {
      if (id < DEAD || id >= map.distinct()) {
        throw new IndexOutOfBoundsException(
            "compressed id " + id + " is outside the map's " + map.distinct() + " ids");
      }
    }
    ConvState[] states = convStates(model);
    if (states.length > 0 && snapshot.length() > 0) {
      if (snapshot.convWindows().size() != states.length) {
        throw new IllegalArgumentException(
            "the snapshot has "
                + snapshot.convWindows().size()
                + " convolution windows, but this model has "
                + states.length);
      }
      for (int i = 0; i < states.length; i++) {
        states[i].restore(snapshot.length(), snapshot.convWindows().get(i));
      }
    }
    int[] ids = Arrays.copyOf(last, Math.max(16, last.length));
    EngramSequence sequence =
        new EngramSequence(model, map, snapshot.length() - last.length, ids, states);
    sequence.length = snapshot.length();
    return sequence;
  }

  /**
   * Appends a token, dead if it is the model's image token. Allocates nothing but, now and then, a
   * longer array.
   *
   * @throws IndexOutOfBoundsException if the id is not in the vocabulary; then nothing is appended
   */
  public void append(int tokenId) {
    int id = compress(tokenId);
    reserve(1);
    ids[length++ - base] = id;
  }

  /** Appends an n-gram of compressed ids, of which the newest comes last. */
  void append(NgramSeed seed, int ngram) {
    int count = seed.length(ngram);
    reserve(count);
    for (int i = count - 1; i >= 0; i--) {
      ids[length++ - base] = seed.id(ngram, i);
    }
  }

  /** Appends tokens; see {@link #append(int[], int, int)}. */
  public void append(int[] tokenIds) {
    append(tokenIds, 0, tokenIds.length);
  }

  /**
   * Appends {@code count} tokens, those equal to the model's image token as dead ones.
   *
   * @throws IndexOutOfBoundsException if an id is not in the vocabulary or the range is not in the
   *     array; then nothing is appended
   */
  public void append(int[] tokenIds, int from, int count) {
    Objects.checkFromIndexSize(from, count, tokenIds.length);
    reserve(count);
    for (int i = 0; i < count; i++) {
      ids[length - base + i] = compress(tokenIds[from + i]); // seen only once length moves
    }
    length += count;
  }

  /**
   * Appends tokens of which the caller says which are dead, whatever their ids.
   *
   * @param dead per token whether it belongs to an image
   * @throws IllegalArgumentException if the arrays differ in length
   * @throws IndexOutOfBoundsException if an id is not in the vocabulary; then nothing is appended
   */
  public void append(int[] tokenIds, boolean[] dead) {
    if (tokenIds.length != dead.length) {
      throw new IllegalArgumentException(
          "there are " + tokenIds.length + " tokens but " + dead.length + " dead marks");
    }
    reserve(tokenIds.length);
    for (int i = 0; i < dead.length; i++) {
      int id = map.get(tokenIds[i]);
      ids[length - base + i] = dead[i] ? DEAD : id;
    }
    length += tokenIds.length;
  }

  private int compress(int tokenId) {
    int id = map.get(tokenId);
    return model.isImage(tokenId) ? DEAD : id;
  }

  private void reserve(int count) {
    int needed = Math.addExact(length, count) - base;
    if (needed > ids.length) {
      // as far as ArrayList goes beyond what is asked for, and never past what an array can hold
      long larger = Math.min(ids.length * 3L / 2, Integer.MAX_VALUE - 8);
      ids = Arrays.copyOf(ids, (int) Math.max(needed, larger));
    }
  }

  /** Returns the number of tokens. */
  public int length() {
    return length;
  }

  /**
   * Takes back the tokens from {@code newLength} on, such as refused drafts.
   *
   * @throws IllegalArgumentException if there are not so many tokens
   * @throws IllegalStateException if what the next token looks back on is not known any more,
   *     because the sequence began from a snapshot, or because a short convolution remembers only
   *     the last {@link ConvState#ROLLBACK} tokens beyond its reach; then nothing is taken back
   */
  public void truncate(int newLength) {
    if (newLength < 0 || newLength > length) {
      throw new IllegalArgumentException(
          "cannot truncate to " + newLength + " tokens: there are " + length);
    }
    if (newLength == length) {
      return;
    }
    requireKnown(newLength);
    for (ConvState state : convStates) {
      if (!state.canTruncate(newLength)) {
        throw new IllegalStateException(
            "cannot truncate to "
                + newLength
                + " tokens: a short convolution has seen "
                + state.position()
                + " and can take back "
                + ConvState.ROLLBACK
                + "; fork the sequence before going further, or truncate to 0");
      }
    }
    length = newLength;
    truncations++;
    for (ConvState state : convStates) {
      state.truncate(newLength);
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

  /** Returns an independent copy, for beams and shared prefixes. */
  public EngramSequence fork() {
    ConvState[] states = new ConvState[convStates.length];
    for (int i = 0; i < states.length; i++) {
      states[i] = convStates[i].fork();
    }
    int[] copy = Arrays.copyOf(ids, Math.max(16, length - base));
    EngramSequence fork = new EngramSequence(model, map, base, copy, states);
    fork.length = length;
    return fork;
  }

  /**
   * Returns what {@link EngramModel#restore} needs to go on from here.
   *
   * @throws IllegalStateException if the model has convolutions and they have not been applied to
   *     every token so far
   */
  public SequenceSnapshot snapshot() {
    int count = Math.min(length, lookBack);
    int[] last = Arrays.copyOfRange(ids, length - base - count, length - base);
    List<float[]> windows = new ArrayList<>();
    for (ConvState state : convStates) {
      if (state.position() != length) {
        throw new IllegalStateException(
            "a snapshot needs every layer applied to all "
                + length
                + " tokens, but a convolution has seen "
                + state.position());
      }
      windows.add(state.window());
    }
    return new SequenceSnapshot(length, last, windows);
  }

  /**
   * Returns the compressed id at a position, -1 for a dead token.
   *
   * @throws IndexOutOfBoundsException if the position is not known
   */
  public int compressedId(int position) {
    if (position < base || position >= length) {
      throw new IndexOutOfBoundsException(
          "position " + position + " is not between " + base + " and " + (length - 1));
    }
    return ids[position - base];
  }

  EngramModel model() {
    return model;
  }

  /**
   * Begins to fetch the rows of the last {@code count} tokens for all layers, as {@link
   * EngramBatch#prefetch} does; {@link EngramLayer#apply(EngramSequence, int, float[])} with the
   * same count then uses them. Appending or truncating gives them up.
   */
  public void prefetch(int count, Executor executor) {
    if (count < 0 || count > length()) {
      throw new IllegalArgumentException(
          count + " tokens were asked for, but the sequence has " + length());
    }
    ownBatch().clear().add(this, length() - count, count).prefetch(executor);
  }

  /**
   * As {@link #prefetch(int, Executor)}, on threads of the model's own, which it starts for this
   * and ends when it is closed.
   */
  public void prefetch(int count) {
    prefetch(count, model.prefetchThreads());
  }

  /** The batch of calls that take this sequence alone: it keeps its memory from call to call. */
  EngramBatch ownBatch() {
    EngramBatch own = batch;
    if (own == null) {
      own = model.newBatch();
      batch = own;
    }
    return own;
  }

  int truncations() {
    return truncations;
  }

  ConvState convState(int layerIndex) {
    return convStates[layerIndex];
  }

  /** Checks that the windows of tokens can be made. */
  void requireRange(int from, int count) {
    Objects.checkFromIndexSize(from, count, length);
    if (count > 0) {
      requireKnown(from);
    }
  }

  /** Returns the id that the hash takes {@code shift} before a position, or DEAD. */
  int at(int position) {
    return ids[position - base];
  }
}
