package io.engram4j;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT_UNALIGNED;

import io.engram4j.run.ConvState;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Objects;
import java.util.concurrent.Executor;
import org.jspecify.annotations.Nullable;

/**
 * The tokens that one step of the model runs: a range of one sequence, or of many at once, in the
 * order in which their hidden states lie. It resolves look-back, padding and dead tokens into a
 * window of ids per token, the same for all layers, and holds the scratch memory of a step, so
 * reusing one allocates nothing. Made by {@link EngramModel#newBatch}; one owner at a time.
 */
public final class EngramBatch {
  private final EngramModel model;
  private final int maxNgram;
  private final int padId;
  private final Workspace workspace;
  private final Projector projector;
  private final MemoBlock memoBlock = new MemoBlock();
  private @Nullable EngramSequence[] sequences = new EngramSequence[1];
  private int[] from = new int[1]; // per part, its first token's position in its sequence
  private int[] truncations = new int[1]; // per part, how often its sequence had been cut by then
  private int[] start = new int[2]; // per part, its first token in the batch; then the total
  private int parts;
  private MemorySegment windows;
  private MemorySegment mask;
  private Prefetch[] prefetches = {}; // per layer, from the first prefetch on
  private Staging[] stagings = {}; // per layer, where tables are not in memory
  private final @Nullable LayerStep[] steps; // per layer, from its first apply on

  EngramBatch(EngramModel model, int padId) {
    this.model = model;
    this.maxNgram = model.config().maxNgram();
    this.padId = padId;
    this.workspace = new Workspace(model.config());
    this.projector = model.newProjector();
    this.steps = new LayerStep[model.layers().size()];
    this.windows = allocate(4L * maxNgram * 16);
    this.mask = allocate(16);
  }

  /** Off the heap, so that native kernels can read it; freed with the batch. */
  static MemorySegment allocate(long bytes) {
    return Arena.ofAuto().allocate(bytes, 64);
  }

  /** Empties the batch and keeps its memory; gives up what was being prefetched. */
  public EngramBatch clear() {
    cancel();
    Arrays.fill(sequences, 0, parts, null); // keeps none alive
    parts = 0;
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
    if (!sequence.model().sharesWeights(model)) {
      throw new IllegalArgumentException("the sequence belongs to another model");
    }
    sequence.requireRange(position, count);
    cancel();
    int first = tokens();
    int total = Math.addExact(first, count);
    reserve(total);
    for (int i = 0; i < count; i++) {
      window(sequence, position + i, first + i);
    }
    if (parts == sequences.length) {
      sequences = Arrays.copyOf(sequences, 2 * parts);
      from = Arrays.copyOf(from, 2 * parts);
      truncations = Arrays.copyOf(truncations, 2 * parts);
      start = Arrays.copyOf(start, 2 * parts + 1);
    }
    sequences[parts] = sequence;
    from[parts] = position;
    truncations[parts] = sequence.truncations();
    start[parts + 1] = total;
    parts++;
    return this;
  }

  /**
   * Begins to fetch the rows of all layers, so that {@link EngramLayer#apply} on this batch waits
   * only for what is not there yet. Call it as soon as the tokens are known, and compute the layers
   * before the Engram ones meanwhile. A failure shows in {@code apply}. Adding tokens to the batch,
   * or clearing it, gives the rows up.
   *
   * @param executor runs one short task per layer, which waits for memory or disk; with none free,
   *     {@code apply} does the work itself
   * @throws IllegalStateException if the model was opened for hashing only
   * @throws java.util.concurrent.RejectedExecutionException if the executor takes no more tasks
   */
  public EngramBatch prefetch(Executor executor) {
    if (prefetches.length == 0) {
      prefetches =
          model.layers().stream().map(layer -> new Prefetch(this, layer)).toArray(Prefetch[]::new);
    }
    for (Prefetch prefetch : prefetches) {
      prefetch.start(executor);
    }
    return this;
  }

  private void cancel() {
    for (Prefetch prefetch : prefetches) {
      prefetch.cancel();
    }
  }

  /** Returns what was begun for a layer, or null if nothing was. */
  @Nullable Prefetch prefetched(int layer) {
    return prefetches.length > 0 && prefetches[layer].isStarted() ? prefetches[layer] : null;
  }

  /** Returns whether these are the last tokens of a sequence, and their rows are being fetched. */
  boolean isPrefetched(EngramSequence sequence, int count) {
    return parts == 1
        && prefetched(0) != null
        && sequences[0] == sequence
        && tokens() == count
        && from[0] == sequence.length() - count
        && truncations[0] == sequence.truncations();
  }

  Staging staging(int layer) {
    if (stagings.length == 0) {
      stagings =
          model.layers().stream()
              .map(other -> new Staging(other.weights().table()))
              .toArray(Staging[]::new);
    }
    return stagings[layer];
  }

  /** Returns what runs a layer on this batch; views of a model have layers of their own. */
  LayerStep step(EngramLayer layer) {
    LayerStep step = steps[layer.index()];
    if (step == null || !step.isOf(layer)) {
      step = new LayerStep(this, layer);
      steps[layer.index()] = step;
    }
    return step;
  }

  private void reserve(int tokens) {
    if (mask.byteSize() < tokens) {
      long larger = Math.max(tokens, 2 * mask.byteSize());
      windows = allocate(4 * larger * maxNgram).copyFrom(windows);
      mask = allocate(larger).copyFrom(mask);
    }
  }

  private void window(EngramSequence sequence, int position, int token) {
    boolean blocked = false;
    for (int shift = 0; shift < maxNgram; shift++) {
      int id = padId;
      if (!blocked && position >= shift) {
        int known = sequence.at(position - shift);
        blocked = known == EngramSequence.DEAD; // sticky: everything older is padding as well
        id = blocked ? padId : known;
      }
      windows.setAtIndex(JAVA_INT_UNALIGNED, (long) token * maxNgram + shift, id);
    }
    boolean live = sequence.at(position) != EngramSequence.DEAD;
    mask.set(JAVA_BYTE, token, (byte) (live ? 1 : 0));
  }

  /** Returns the number of tokens. */
  public int tokens() {
    return parts == 0 ? 0 : start[parts];
  }

  /**
   * Returns per token its compressed id and those before it, newest first, int32 [tokens,
   * maxNgram], with the pad id where the look-back is blocked. Valid until the next {@link #add}.
   */
  public MemorySegment windows() {
    return windows.asSlice(0, 4L * tokens() * maxNgram);
  }

  /** Returns per token 1, or 0 for a dead one, int8 [tokens]. Valid until the next {@link #add}. */
  public MemorySegment mask() {
    return mask.asSlice(0, tokens());
  }

  EngramModel model() {
    return model;
  }

  Workspace workspace() {
    return workspace;
  }

  MemoBlock memoBlock() {
    return memoBlock;
  }

  Projector projector() {
    return projector;
  }

  MemorySegment windowsFrom(int token) {
    return token == 0 ? windows : windows.asSlice(4L * token * maxNgram); // a slice is an object
  }

  MemorySegment maskFrom(int token) {
    return token == 0 ? mask : mask.asSlice(token);
  }

  int parts() {
    return parts;
  }

  EngramSequence sequence(int part) {
    return Objects.requireNonNull(sequences[part]);
  }

  /**
   * Checks, before any token is touched, that the convolutions can go on: each part where its
   * sequence, or the part before it in this batch, leaves off.
   */
  void requireConvolvable(int layerIndex) {
    for (int part = 0; part < parts; part++) {
      EngramSequence sequence = sequence(part);
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

  /** Whether an earlier part of the same sequence ends where this one begins, or later. */
  private boolean goesOn(int part) {
    for (int before = 0; before < part; before++) {
      int end = from[before] + start[before + 1] - start[before];
      if (sequence(before) == sequence(part) && end >= from[part]) {
        return true;
      }
    }
    return false;
  }

  int start(int part) {
    return start[part];
  }

  int end(int part) {
    return start[part + 1];
  }

  int position(int part, int token) {
    return from[part] + token - start[part];
  }
}
