package io.engram4j;

import io.engram4j.kernel.StageChecks;
import io.engram4j.memo.MemoCounts;
import io.engram4j.memo.MemoProjector;
import io.engram4j.model.Dtype;
import io.engram4j.model.EngramConfig;
import io.engram4j.model.HiddenStream;
import io.engram4j.model.LayerLayout;
import io.engram4j.model.StageListener;
import io.engram4j.run.LayerRuntime;
import io.engram4j.run.Owner;
import io.engram4j.run.Step;
import io.engram4j.run.StepPool;
import io.engram4j.run.Windows;
import io.engram4j.table.Table;
import io.engram4j.weights.LayerWeights;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/**
 * One Engram layer of an open model. Call {@link #apply} at the start of the model's layer {@link
 * #id}, before its attention; the stages can also be called one by one. Thread-safe; batches and
 * sequences have one owner each.
 */
@SuppressWarnings("NonAtomicVolatileUpdate") // of calls, which are the step's alone
public final class EngramLayer {
  private final EngramConfig config;
  private final LayerRuntime runtime;
  private final StepPool steps;
  private final @Nullable MemoProjector memo;

  EngramLayer(
      EngramConfig config, LayerRuntime runtime, StepPool steps, @Nullable MemoProjector memo) {
    this.config = config;
    this.runtime = runtime;
    this.steps = steps;
    this.memo = memo;
  }

  /** Returns the model layer at whose start this runs, 0-based. */
  public int id() {
    return runtime.layout().layerId();
  }

  /** Returns primes, offsets and multipliers. */
  public LayerLayout layout() {
    return runtime.layout();
  }

  /** Returns whether the layer has its tensors, or can only hash. */
  public boolean hasWeights() {
    return runtime.hasWeights();
  }

  /**
   * Returns the tensors. Their memory is the model's and ends when it is closed.
   *
   * @throws IllegalStateException if the model was opened for hashing only
   */
  public LayerWeights weights() {
    return runtime.weights();
  }

  /**
   * Computes the row ids of a batch. Allocates nothing; needs the layer's table neither in memory
   * nor open.
   *
   * @param rowIds int64 [tokens, columns], written
   */
  public void hash(EngramBatch batch, MemorySegment rowIds) {
    requireOwn(batch);
    Owner owner = batch.owner();
    Step step = batch.enter();
    try {
      hash(step.windows(), rowIds);
    } finally {
      step.use.depth--;
      owner.busy = false;
    }
  }

  /** Does the same for who holds the batch: devices, in {@link EngramBatch#whileHeld}. */
  public void hash(Windows parts, MemorySegment rowIds) {
    MemorySegment windows = parts.windowsFrom(0);
    StageChecks.hash(layout(), windows, parts.tokens(), rowIds);
    runtime.lifetime().enter(); // the batch may be of another view
    try {
      runtime.hash(windows, parts.tokens(), rowIds);
    } finally {
      runtime.lifetime().exit();
    }
  }

  /**
   * Fetches rows by id. Allocates nothing if the table is in memory.
   *
   * @param rowIds int64 [count], of this layer; -1 gives a row of zeros
   * @param out [count, headDim], written
   * @param outType F32, or BF16 rounded to nearest even
   * @throws IndexOutOfBoundsException if an id is outside the table
   * @throws IllegalStateException if the model is closed
   * @throws java.io.UncheckedIOException if the file under a mapped table has shrunk
   */
  public void gather(MemorySegment rowIds, long count, MemorySegment out, Dtype outType) {
    StageChecks.gather(weights().table(), rowIds, count, out, outType);
    Step step = steps.take();
    try {
      step.gather(runtime, rowIds, count, out, outType);
    } finally {
      steps.give(step);
    }
  }

  /**
   * Projects rows to a key per branch and a value.
   *
   * @param rows float32 [tokens, columns * headDim]
   * @param kv float32 [tokens, (branches + 1) * hiddenSize], written
   * @throws IllegalStateException if the model is closed
   */
  public void project(MemorySegment rows, int tokens, MemorySegment kv) {
    StageChecks.project(weights().projection(), rows, tokens, kv);
    runtime.lifetime().enter();
    try {
      runtime.project().run(rows, tokens, 0, weights().projection().outputs(), kv);
    } catch (InternalError e) {
      throw runtime.shrunk(e);
    } finally {
      runtime.lifetime().exit();
    }
  }

  /**
   * Runs the whole layer on the last {@code count} tokens of a sequence, in place.
   *
   * @param hidden float32 [count, branches, hiddenSize]
   */
  public void apply(EngramSequence sequence, int count, float[] hidden) {
    apply(sequence, count, HiddenStream.of(hidden, config.branches(), config.hiddenSize()));
  }

  /** Runs the whole layer on the last {@code count} tokens of a sequence, in place. */
  public void apply(EngramSequence sequence, int count, HiddenStream hidden) {
    if (sequence.lifetime().root() != runtime.lifetime().root()) {
      throw new IllegalArgumentException("the sequence belongs to another model");
    }
    Owner owner = sequence.owner();
    owner.enter();
    try {
      applyToLast(sequence, count, hidden);
    } finally {
      owner.busy = false;
    }
  }

  private void applyToLast(EngramSequence sequence, int count, HiddenStream hidden) {
    sequence.requireTokens(count);
    Step ahead = sequence.ahead(count);
    if (ahead != null) {
      ahead.use.begin();
      try {
        apply(ahead, hidden, null);
      } finally {
        ahead.use.depth--;
      }
      sequence.usedAhead(runtime.index());
      return;
    }
    Step step = steps.take();
    try {
      step.use.begin();
      try {
        step.windows().add(sequence.state(), sequence.length() - count, count);
        apply(step, hidden, null);
      } finally {
        step.use.depth--;
      }
    } finally {
      steps.give(step);
    }
  }

  /**
   * Runs the whole layer on a batch, in place.
   *
   * @param hidden float32 [tokens, branches, hiddenSize]
   */
  public void apply(EngramBatch batch, float[] hidden) {
    apply(batch, HiddenStream.of(hidden, config.branches(), config.hiddenSize()), null);
  }

  /** Runs the whole layer on a batch, in place. */
  public void apply(EngramBatch batch, HiddenStream hidden) {
    apply(batch, hidden, null);
  }

  /**
   * Runs the whole layer on a batch, in place.
   *
   * @param hidden the hidden states of the batch's tokens at the start of this layer, updated
   * @param listener sees what every stage made, or null
   * @throws IllegalArgumentException if the stream is too small, or its parts overlap; then nothing
   *     is written
   * @throws java.util.ConcurrentModificationException if another call on the batch is under way
   * @throws IllegalStateException if the model is closed, or a convolution has not seen the tokens
   *     before
   * @throws java.io.UncheckedIOException if the file under a mapped table has shrunk
   */
  public void apply(EngramBatch batch, HiddenStream hidden, @Nullable StageListener listener) {
    requireOwn(batch);
    Owner owner = batch.owner();
    Step step = batch.enter();
    try {
      apply(step, hidden, listener);
    } finally {
      step.use.depth--;
      owner.busy = false;
    }
  }

  private void apply(Step step, HiddenStream hidden, @Nullable StageListener listener) {
    hidden.check(step.windows().tokens(), config.branches(), config.hiddenSize());
    step.apply(runtime, hidden, listener);
  }

  private void requireOwn(EngramBatch batch) {
    if (batch.lifetime().root() != runtime.lifetime().root()) {
      throw new IllegalArgumentException("the batch belongs to another model");
    }
  }

  LayerRuntime runtime() {
    return runtime;
  }

  @Nullable MemoProjector memo() {
    return memo;
  }

  LayerStatistics statistics() {
    Table table = weights().table();
    MemoCounts counts = memo == null ? null : memo.counts();
    return new LayerStatistics(
        id(),
        table.name(),
        runtime.prefetches(),
        runtime.stalls(),
        runtime.begunLate(),
        runtime.stalledNanos(),
        table.statistics(),
        counts == null
            ? LayerStatistics.MemoStatistics.NONE
            : new LayerStatistics.MemoStatistics(
                counts.hits(),
                counts.misses(),
                counts.evictions(),
                counts.bytes(),
                counts.mostBytes()));
  }
}
