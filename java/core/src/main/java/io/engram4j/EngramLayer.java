package io.engram4j;

import io.engram4j.kernel.Backend;
import io.engram4j.kernel.StageChecks;
import io.engram4j.model.Dtype;
import io.engram4j.model.EngramConfig;
import io.engram4j.model.HiddenStream;
import io.engram4j.model.LayerLayout;
import io.engram4j.table.Table;
import io.engram4j.weights.ConvWeights;
import io.engram4j.weights.LayerWeights;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.concurrent.atomic.LongAdder;
import org.jspecify.annotations.Nullable;

/**
 * One Engram layer of an open model. Call {@link #apply} at the start of the model's layer {@link
 * #id}, before its attention; the stages can also be called one by one. Thread-safe; batches and
 * sequences have one owner each.
 */
public final class EngramLayer {
  private final EngramModel model;
  private final int index;
  private final LayerLayout layout;
  private final @Nullable LayerWeights weights;
  private final Backend.Hash hash;
  private final @Nullable Kernels kernels;
  private final @Nullable MemoProjector memo;
  private final LongAdder prefetches = new LongAdder();
  private final LongAdder stalls = new LongAdder();
  private final LongAdder begunLate = new LongAdder();
  private final LongAdder stalledNanos = new LongAdder();

  /** The kernels of the stages that need tensors. */
  record Kernels(
      Table table,
      List<Backend.Gather> gathers, // one per copy of the table; none if it is not in memory
      Backend.Project project,
      Backend.Gate gate,
      Backend.@Nullable Conv conv) {
    static Kernels of(Backend backend, LayerWeights weights) {
      ConvWeights conv = weights.conv();
      Table table = weights.table();
      List<Table> copies = table.isInMemory() ? table.copies() : List.of();
      return new Kernels(
          table,
          copies.stream().map(backend::gather).toList(),
          backend.project(weights.projection()),
          backend.gate(weights.gate()),
          conv == null ? null : backend.conv(conv));
    }

    Backend.@Nullable Gather gather() {
      return gathers.isEmpty() ? null : gathers.get(table.nearest());
    }
  }

  /** A layer; with a memo of some bytes, or none if that is 0. */
  EngramLayer(
      EngramModel model,
      int index,
      LayerLayout layout,
      @Nullable LayerWeights weights,
      long memoBytes) {
    this.model = model;
    this.index = index;
    this.layout = layout;
    this.weights = weights;
    this.hash = model.backend().hash(layout);
    this.kernels = weights == null ? null : Kernels.of(model.backend(), weights);
    this.memo =
        weights == null || memoBytes == 0
            ? null
            : new MemoProjector(model.backend(), layout, weights.projection(), memoBytes);
  }

  /** Returns the model layer at whose start this runs, 0-based. */
  public int id() {
    return layout.layerId();
  }

  /** Returns primes, offsets and multipliers. */
  public LayerLayout layout() {
    return layout;
  }

  /** Returns whether the layer has its tensors, or can only hash. */
  public boolean hasWeights() {
    return weights != null;
  }

  /**
   * Returns the tensors. Their memory is the model's and ends when it is closed.
   *
   * @throws IllegalStateException if the model was opened for hashing only
   */
  public LayerWeights weights() {
    if (weights == null) {
      throw withoutTensors();
    }
    return weights;
  }

  Kernels kernels() {
    if (kernels == null) {
      throw withoutTensors();
    }
    return kernels;
  }

  private IllegalStateException withoutTensors() {
    return new IllegalStateException("layer " + id() + " was opened without its tensors");
  }

  /**
   * Computes the row ids of a batch. Allocates nothing; needs the layer's table neither in memory
   * nor open.
   *
   * @param rowIds int64 [tokens, columns], written
   */
  public void hash(EngramBatch batch, MemorySegment rowIds) {
    model.requireOwn(batch);
    MemorySegment windows = batch.windowsFrom(0);
    StageChecks.hash(layout, windows, batch.tokens(), rowIds);
    hash.run(windows, batch.tokens(), rowIds);
  }

  /**
   * Fetches rows by id. Allocates nothing if the table is in memory.
   *
   * @param rowIds int64 [count], of this layer; -1 gives a row of zeros
   * @param out [count, headDim], written
   * @param outType F32, or BF16 rounded to nearest even
   * @throws IndexOutOfBoundsException if an id is outside the table
   * @throws IllegalStateException if the model is closed
   * @throws UncheckedIOException if the file under a mapped table has shrunk
   */
  public void gather(MemorySegment rowIds, long count, MemorySegment out, Dtype outType) {
    StageChecks.gather(weights().table(), rowIds, count, out, outType);
    Backend.Gather gather = kernels().gather();
    model.enter();
    try {
      if (gather != null) {
        gather.run(rowIds, count, out, outType);
      } else {
        Staging staging = new Staging(weights().table());
        staging.fetch(rowIds, count);
        staging.gather(model.backend(), 0, count, out, outType);
      }
      model.overlay().of(id()).apply(rowIds, count, out, outType);
    } catch (InternalError e) {
      throw shrunk(e);
    } finally {
      model.exit();
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
    model.enter();
    try {
      kernels().project().run(rows, tokens, 0, weights().projection().outputs(), kv);
    } catch (InternalError e) {
      throw shrunk(e);
    } finally {
      model.exit();
    }
  }

  /**
   * Runs the whole layer on the last {@code count} tokens of a sequence, in place.
   *
   * @param hidden float32 [count, branches, hiddenSize]
   */
  public void apply(EngramSequence sequence, int count, float[] hidden) {
    EngramConfig config = model.config();
    apply(sequence, count, HiddenStream.of(hidden, config.branches(), config.hiddenSize()));
  }

  /** Runs the whole layer on the last {@code count} tokens of a sequence, in place. */
  public void apply(EngramSequence sequence, int count, HiddenStream hidden) {
    if (count < 0 || count > sequence.length()) {
      throw new IllegalArgumentException(
          count + " tokens were asked for, but the sequence has " + sequence.length());
    }
    EngramBatch batch = sequence.ownBatch();
    if (batch.isPrefetched(sequence, count)) {
      apply(batch, hidden, null);
      return;
    }
    try {
      apply(batch.clear().add(sequence, sequence.length() - count, count), hidden, null);
    } finally {
      batch.clear();
    }
  }

  /**
   * Runs the whole layer on a batch, in place.
   *
   * @param hidden float32 [tokens, branches, hiddenSize]
   */
  public void apply(EngramBatch batch, float[] hidden) {
    EngramConfig config = model.config();
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
   * @throws IllegalArgumentException if the stream is too small; then nothing is written
   * @throws IllegalStateException if the model is closed, or a convolution has not seen the tokens
   *     before
   * @throws UncheckedIOException if the file under a mapped table has shrunk
   */
  public void apply(EngramBatch batch, HiddenStream hidden, @Nullable StageListener listener) {
    model.requireOwn(batch);
    hidden.check(batch.tokens(), model.config().branches(), model.config().hiddenSize());
    if (kernels().conv() != null) {
      batch.requireConvolvable(index);
    }
    batch.workspace().reserve(Math.min(batch.tokens(), Workspace.BLOCK));
    Prefetch ahead = batch.prefetched(index);
    LayerStep step = batch.step(this);
    model.enter();
    try {
      if (ahead != null) {
        ahead.await();
      }
      for (int first = 0; first < batch.tokens(); first += Workspace.BLOCK) {
        int tokens = Math.min(Workspace.BLOCK, batch.tokens() - first);
        step.run(first, tokens, hidden.from(first), listener);
      }
    } catch (InternalError e) {
      throw shrunk(e);
    } finally {
      step.end();
      model.exit();
    }
  }

  /** Computes row ids, for one who has checked. */
  void hash(MemorySegment windows, int tokens, MemorySegment rowIds) {
    hash.run(windows, tokens, rowIds);
  }

  EngramModel model() {
    return model;
  }

  int index() {
    return index;
  }

  @Nullable MemoProjector memo() {
    return memo;
  }

  /** Puts what a batch's n-grams contribute into the memo; the batch is of one block at most. */
  void remember(EngramBatch batch) {
    batch.workspace().reserve(batch.tokens());
    model.enter();
    try {
      batch.step(this).remember(0, batch.tokens());
    } catch (InternalError e) {
      throw shrunk(e);
    } finally {
      model.exit();
    }
  }

  /** Puts the n-grams of one order, with which a batch's tokens end, into the memo. */
  void remember(EngramBatch batch, int order) {
    MemoProjector into = memo;
    if (into == null) {
      throw new IllegalStateException("this model has no memo; take a view withMemo(bytes)");
    }
    batch.workspace().reserve(batch.tokens());
    model.enter();
    try {
      batch.step(this).remember(into, order);
    } catch (InternalError e) {
      throw shrunk(e);
    } finally {
      model.exit();
    }
  }

  /** Computes a batch's row ids and fetches their rows, for a {@link Prefetch}. */
  void fetch(EngramBatch batch, MemorySegment rowIds, Staging staging) {
    model.enter();
    try {
      hash.run(batch.windowsFrom(0), batch.tokens(), rowIds);
      staging.fetch(rowIds, (long) batch.tokens() * layout.columns());
    } catch (InternalError e) {
      throw shrunk(e);
    } finally {
      model.exit();
    }
  }

  void countPrefetch() {
    prefetches.increment();
  }

  void countStall(boolean late, long nanos) {
    stalls.increment();
    begunLate.add(late ? 1 : 0);
    stalledNanos.add(nanos);
  }

  LayerStatistics statistics() {
    Table table = weights().table();
    return new LayerStatistics(
        id(),
        table.name(),
        prefetches.sum(),
        stalls.sum(),
        begunLate.sum(),
        stalledNanos.sum(),
        table.statistics(),
        memo == null ? LayerStatistics.MemoStatistics.NONE : memo.statistics());
  }

  /** HotSpot turns the SIGBUS of a mapped page that is gone into an InternalError. */
  UncheckedIOException shrunk(InternalError cause) {
    String message =
        "reading "
            + weights().table().name()
            + " of layer "
            + id()
            + " failed: the file under the mapping has shrunk or its disk has failed";
    return new UncheckedIOException(new IOException(message, cause));
  }
}
