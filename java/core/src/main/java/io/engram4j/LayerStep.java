package io.engram4j;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;

import io.engram4j.kernel.Backend;
import io.engram4j.model.Dtype;
import io.engram4j.model.HiddenStream;
import io.engram4j.model.LayerLayout;
import io.engram4j.run.ConvState;
import io.engram4j.table.RowOverlay;
import io.engram4j.weights.ConvWeights;
import io.engram4j.weights.LayerWeights;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/**
 * Blocks of a batch's tokens on their way through the stages of one layer. Kept with the batch from
 * step to step, so that decoding allocates nothing; used by one thread at a time.
 */
final class LayerStep {
  private static final HiddenStream NONE = HiddenStream.of(new float[0], 1, 1);

  private final EngramBatch batch;
  private final EngramLayer layer;
  private final EngramModel model;
  private final LayerLayout layout;
  private final EngramLayer.Kernels kernels;
  private final LayerWeights weights;
  private final @Nullable MemoProjector memo;
  private final Workspace space;
  // of the block under way
  private int first;
  private int tokens;
  private HiddenStream hidden = NONE;
  private @Nullable StageListener listener;
  private @Nullable Prefetch ahead;
  private RowOverlay.Rows replaced;

  LayerStep(EngramBatch batch, EngramLayer layer) {
    this.batch = batch;
    this.layer = layer;
    this.model = layer.model();
    this.layout = layer.layout();
    this.kernels = layer.kernels();
    this.weights = layer.weights();
    this.memo = layer.memo();
    this.space = batch.workspace();
    this.replaced = model.overlay().of(layer.id());
  }

  boolean isOf(EngramLayer other) {
    return layer == other;
  }

  private void begin(int newFirst, int newTokens) {
    this.first = newFirst;
    this.tokens = newTokens;
    this.ahead = batch.prefetched(layer.index());
    this.replaced = model.overlay().of(layer.id());
  }

  /** Lets go of what belongs to the caller. */
  void end() {
    hidden = NONE;
    listener = null;
    ahead = null;
  }

  /** Projects some tokens and lets the result go: a memo keeps it. */
  void remember(int newFirst, int newTokens) {
    begin(newFirst, newTokens);
    layer.hash(batch.windowsFrom(first), tokens, space.rowIds());
    gather();
    project();
  }

  /** Projects the n-grams of one order with which the tokens end, if the memo has room. */
  void remember(MemoProjector into, int order) {
    begin(0, batch.tokens());
    MemorySegment windows = batch.windowsFrom(0);
    layer.hash(windows, tokens, space.rowIds());
    into.seed(batch, order, windows, space.rowIds(), space.rows(), replaced, tokens, this::gather);
  }

  /** Runs all stages on some tokens of the batch. */
  void run(
      int newFirst, int newTokens, HiddenStream newHidden, @Nullable StageListener newListener) {
    begin(newFirst, newTokens);
    this.hidden = newHidden;
    this.listener = newListener;
    long start = clock();
    MemorySegment rowIds = ahead == null ? space.rowIds() : ahead.rowIdsFrom(first);
    if (ahead == null) {
      layer.hash(batch.windowsFrom(first), tokens, rowIds);
    }
    start = tell(Stage.HASH, rowIds, 8L * layout.columns(), start);
    gather();
    start = tell(Stage.GATHER, space.rows(), 4L * weights.projection().inputs(), start);
    project();
    start = tell(Stage.PROJECT, space.kv(), 4L * weights.projection().outputs(), start);
    Backend.Conv convolution = kernels.conv();
    ConvWeights conv = weights.conv();
    MemorySegment mask = batch.maskFrom(first);
    long gateBytes = 4L * weights.gate().branches();
    if (conv == null || convolution == null) {
      kernels.gate().update(space.kv(), hidden, mask, tokens, space.gates());
      tell(Stage.GATE, space.gates(), gateBytes, start);
    } else {
      kernels.gate().values(space.kv(), hidden, mask, tokens, space.gates(), space.gated());
      start = tell(Stage.GATE, space.gates(), gateBytes, start);
      for (int part = 0; part < batch.parts(); part++) {
        convolve(conv, convolution, part);
      }
      add(conv, mask);
      tell(Stage.CONV, space.delta(), 4L * conv.channels(), start);
    }
  }

  private void gather() {
    long rows = (long) tokens * layout.columns();
    Backend.Gather gather = kernels.gather();
    if (ahead != null) {
      long from = (long) first * layout.columns();
      ahead.staging().gather(model.backend(), from, rows, space.rows(), Dtype.F32);
    } else if (gather != null) {
      gather.run(space.rowIds(), rows, space.rows(), Dtype.F32);
    } else {
      Staging staging = batch.staging(layer.index());
      staging.fetch(space.rowIds(), rows);
      staging.gather(model.backend(), 0, rows, space.rows(), Dtype.F32);
    }
    MemorySegment rowIds = ahead == null ? space.rowIds() : ahead.rowIdsFrom(first);
    replaced.apply(rowIds, rows, space.rows(), Dtype.F32);
  }

  private void project() {
    int outputs = weights.projection().outputs();
    if (memo != null) {
      MemorySegment rowIds = ahead == null ? space.rowIds() : ahead.rowIdsFrom(first);
      MemorySegment windows = batch.windowsFrom(first);
      memo.run(batch, windows, rowIds, space.rows(), replaced, tokens, space.kv());
      return;
    }
    batch.projector().run(kernels.project(), space.rows(), tokens, outputs, space.kv());
  }

  /** Convolves what this block holds of one sequence. */
  private void convolve(ConvWeights conv, Backend.Conv convolution, int part) {
    int from = Math.max(first, batch.start(part));
    int count = Math.min(first + tokens, batch.end(part)) - from;
    if (count <= 0) {
      return;
    }
    ConvState state = batch.sequence(part).convState(layer.index());
    int position = batch.position(part, from);
    long offset = 4L * conv.channels() * (from - first);
    long bytes = 4L * conv.channels() * count;
    MemorySegment window = space.window();
    state.load(position, window);
    convolution.run(
        space.gated().asSlice(offset, bytes), window, count, space.delta().asSlice(offset, bytes));
    state.store(position, count, window);
  }

  private void add(ConvWeights conv, MemorySegment mask) {
    MemorySegment delta = space.delta();
    for (int token = 0; token < tokens; token++) {
      if (mask.get(JAVA_BYTE, token) == 0) {
        delta.asSlice(4L * token * conv.channels(), 4L * conv.channels()).fill((byte) 0);
        continue; // a dead token's stream keeps its bits
      }
      for (int branch = 0; branch < conv.branches(); branch++) {
        long at = hidden.at(token, branch);
        long from = (long) token * conv.channels() + (long) branch * conv.hiddenSize();
        for (int i = 0; i < conv.hiddenSize(); i++) {
          float added = delta.getAtIndex(JAVA_FLOAT_UNALIGNED, from + i);
          hidden.set(at, i, hidden.get(at, i) + added);
        }
      }
    }
  }

  private long clock() {
    return listener == null ? 0 : System.nanoTime();
  }

  private long tell(Stage stage, MemorySegment data, long tokenBytes, long start) {
    if (listener == null) {
      return 0;
    }
    long nanos = System.nanoTime() - start;
    MemorySegment made = data.asSlice(0, tokens * tokenBytes).asReadOnly();
    listener.after(stage, first, tokens, made, nanos);
    return System.nanoTime();
  }
}
