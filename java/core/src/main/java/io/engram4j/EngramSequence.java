package io.engram4j;

import io.engram4j.model.TokenMap;
import io.engram4j.run.Lifetime;
import io.engram4j.run.Owner;
import io.engram4j.run.SequenceState;
import io.engram4j.run.Step;
import io.engram4j.run.StepPool;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.Executor;
import org.jspecify.annotations.Nullable;

/**
 * The tokens of one sequence as Engram sees them: their compressed ids, 4 bytes each, and, for
 * models with a short convolution, what that remembers. Row ids are a pure function of the ids, so
 * appending in chunks or one by one, taking back and forking give the same rows.
 *
 * <p>A dead token (a position of an image) blocks the look-back of every token after it and gets no
 * memory itself (docs/spec.md, section 5.4). Made by {@link EngramModel#newSequence}; one owner at
 * a time, and a call while another is under way ends in a {@link
 * java.util.ConcurrentModificationException}. Holds no memory off the heap, but while rows are
 * fetched ahead.
 */
@SuppressWarnings("NonAtomicVolatileUpdate") // of calls, which are a step's alone
public final class EngramSequence {
  /** What all sequences of a view of a model share. */
  record Shared(
      TokenMap map, int imageId, int barrierId, ModelKey key, StepPool steps, Lifetime lifetime) {
    /** Types of image tokens that reference preprocessing may count behind the vocabulary. */
    private static final int IMAGE_TYPES = 16;

    int marked(int tokenId) {
      if (imageId >= 0 && (tokenId == imageId || marksImage(tokenId))) {
        return SequenceState.DEAD;
      }
      int id = map.get(tokenId);
      return tokenId == barrierId ? id | SequenceState.BARRIER : id;
    }

    /** Positions of an image that have no id: -1, or vocabulary size + type of the token. */
    private boolean marksImage(int tokenId) {
      return tokenId == -1 || (tokenId >= map.size() && tokenId - map.size() < IMAGE_TYPES);
    }
  }

  private final Shared shared;
  private final SequenceState state;
  private final Owner owner = new Owner("the sequence");
  private @Nullable Step ahead; // whose rows are fetched ahead
  private int lastAhead; // the last layer of them that was applied

  EngramSequence(Shared shared, SequenceState state) {
    this.shared = shared;
    this.state = state;
  }

  /** Checks a snapshot and marks its ids. */
  static int[] marked(SequenceSnapshot snapshot, int lookBack, Shared shared) {
    if (snapshot.model() != 0 && snapshot.model() != shared.key().get()) {
      throw new IllegalArgumentException(
          "the snapshot is of another model: its vocabulary, hashing or shape differ");
    }
    int[] last = snapshot.lastIds();
    int wanted = Math.min(snapshot.length(), lookBack);
    if (last.length != wanted) {
      throw new IllegalArgumentException(
          "the snapshot of "
              + snapshot.length()
              + " tokens has "
              + last.length
              + " ids, but this model needs the last "
              + wanted);
    }
    int distinct = shared.map().distinct();
    int barrier = shared.barrierId() < 0 ? -1 : shared.map().get(shared.barrierId());
    for (int i = 0; i < last.length; i++) {
      if (last[i] < -1 || last[i] >= distinct) {
        throw new IllegalArgumentException(
            "the snapshot has compressed id " + last[i] + ", but the map " + distinct + " ids");
      }
      if (last[i] == -1) {
        last[i] = SequenceState.DEAD;
      } else if (last[i] == barrier) {
        last[i] |= SequenceState.BARRIER;
      }
    }
    return last;
  }

  /**
   * Appends a token. It is dead if it is the model's image token or, in a model that has one, an id
   * by which preprocessing marks images: -1, or up to 15 more than the vocabulary's size. Allocates
   * nothing but, now and then, a longer array.
   *
   * @throws IndexOutOfBoundsException if the id is not in the vocabulary; then nothing is appended
   */
  public void append(int tokenId) {
    owner.enter();
    try {
      int marked = shared.marked(tokenId);
      state.reserve(1);
      state.set(0, marked);
      extend(1);
    } finally {
      owner.busy = false;
    }
  }

  /** Appends tokens; see {@link #append(int[], int, int)}. */
  public void append(int[] tokenIds) {
    append(tokenIds, 0, tokenIds.length);
  }

  /**
   * Appends {@code count} tokens, those of images as dead ones; see {@link #append(int)}.
   *
   * @throws IndexOutOfBoundsException if an id is not in the vocabulary or the range is not in the
   *     array; then nothing is appended
   */
  public void append(int[] tokenIds, int from, int count) {
    Objects.checkFromIndexSize(from, count, tokenIds.length);
    owner.enter();
    try {
      state.reserve(count);
      for (int i = 0; i < count; i++) {
        state.set(i, shared.marked(tokenIds[from + i])); // seen only once the length moves
      }
      extend(count);
    } finally {
      owner.busy = false;
    }
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
    owner.enter();
    try {
      state.reserve(tokenIds.length);
      for (int i = 0; i < dead.length; i++) {
        int marked = shared.marked(tokenIds[i]);
        if (dead[i]) {
          marked = SequenceState.DEAD;
        } else if (marked == SequenceState.DEAD) {
          marked = shared.map().get(tokenIds[i]); // an image's id as text, if it is one
        }
        state.set(i, marked);
      }
      extend(tokenIds.length);
    } finally {
      owner.busy = false;
    }
  }

  private void extend(int count) {
    dropAhead();
    state.extend(count);
  }

  /** Returns the number of tokens. */
  public int length() {
    return state.length();
  }

  /**
   * Takes back the tokens from {@code newLength} on, such as refused drafts.
   *
   * @throws IllegalArgumentException if there are not so many tokens
   * @throws IllegalStateException if what the next token looks back on is not known any more,
   *     because the sequence began from a snapshot, or because a short convolution remembers only
   *     so many tokens beyond its reach ({@link EngramModel#withRollback}); then nothing is taken
   *     back
   */
  public void truncate(int newLength) {
    owner.enter();
    try {
      if (newLength < 0 || newLength > length()) {
        throw new IllegalArgumentException(
            "cannot truncate to " + newLength + " tokens: there are " + length());
      }
      if (newLength < length()) {
        state.truncate(newLength);
        dropAhead();
      }
    } finally {
      owner.busy = false;
    }
  }

  /** Returns an independent copy, for beams and shared prefixes. */
  public EngramSequence fork() {
    owner.enter();
    try {
      return new EngramSequence(shared, state.fork());
    } finally {
      owner.busy = false;
    }
  }

  /**
   * Returns what {@link EngramModel#restore} needs to go on from here.
   *
   * @throws IllegalStateException if the model has convolutions and they have not been applied to
   *     every token so far
   */
  public SequenceSnapshot snapshot() {
    owner.enter();
    try {
      int[] last = state.last();
      Arrays.setAll(last, i -> compressed(last[i]));
      List<float[]> windows = state.convWindows();
      return new SequenceSnapshot(shared.key().get(), length(), last, windows);
    } finally {
      owner.busy = false;
    }
  }

  /**
   * Returns the compressed id at a position, -1 for a dead token.
   *
   * @throws IndexOutOfBoundsException if the position is not known
   */
  public int compressedId(int position) {
    if (position < state.base() || position >= length()) {
      throw new IndexOutOfBoundsException(
          "position " + position + " is not between " + state.base() + " and " + (length() - 1));
    }
    return compressed(state.at(position));
  }

  private static int compressed(int marked) {
    return SequenceState.isDead(marked) ? -1 : SequenceState.id(marked);
  }

  /**
   * Begins to fetch the rows of the last {@code count} tokens for all layers, as {@link
   * EngramBatch#prefetch} does; {@link EngramLayer#apply(EngramSequence, int, float[])} with the
   * same count then uses them. Appending or truncating gives them up; the last layer's apply lets
   * their memory go.
   */
  public void prefetch(int count, Executor executor) {
    owner.enter();
    try {
      fetch(count, executor);
    } finally {
      owner.busy = false;
    }
  }

  private void fetch(int count, Executor executor) {
    requireTokens(count);
    dropAhead();
    Step step = shared.steps().take();
    boolean begun = false;
    try {
      step.use.begin();
      try {
        step.windows().add(state, length() - count, count);
        step.prefetch(executor);
      } finally {
        step.use.depth--;
      }
      begun = true;
    } finally {
      if (begun) {
        ahead = step;
        lastAhead = -1;
      } else {
        shared.steps().give(step);
      }
    }
  }

  /**
   * As {@link #prefetch(int, Executor)}, on threads of the model's own, which it starts for this
   * and ends when it is closed.
   */
  public void prefetch(int count) {
    prefetch(count, shared.lifetime().threads(shared.steps().layers().size()));
  }

  /**
   * Gives up what was prefetched and not used, whose memory goes back to the model. To be called
   * where a request ends between prefetch and the last layer; appending and truncating do the same.
   */
  public void cancelPrefetch() {
    owner.enter();
    try {
      dropAhead();
    } finally {
      owner.busy = false;
    }
  }

  void requireTokens(int count) {
    if (count < 0 || count > length()) {
      throw new IllegalArgumentException(
          count + " tokens were asked for, but the sequence has " + length());
    }
  }

  /** Returns the step that has these last tokens' rows, or null. */
  @Nullable Step ahead(int count) {
    Step step = ahead;
    return step != null && step.isPrefetched() && step.windows().areLast(state, count)
        ? step
        : null;
  }

  /** Tells that a layer has used the rows that were fetched ahead. */
  void usedAhead(int layerIndex) {
    lastAhead = Math.max(lastAhead, layerIndex);
    if (lastAhead == shared.steps().layers().size() - 1) {
      dropAhead();
    }
  }

  private void dropAhead() {
    Step step = ahead;
    if (step != null) {
      ahead = null;
      shared.steps().give(step);
    }
  }

  SequenceState state() {
    return state;
  }

  Owner owner() {
    return owner;
  }

  Lifetime lifetime() {
    return shared.lifetime();
  }
}
