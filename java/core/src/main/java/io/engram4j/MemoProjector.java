package io.engram4j;

import static java.lang.foreign.ValueLayout.JAVA_LONG_UNALIGNED;

import io.engram4j.kernel.Backend;
import io.engram4j.model.LayerLayout;
import io.engram4j.table.RowOverlay;
import io.engram4j.weights.Linear;
import io.engram4j.weights.Projection;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/**
 * Projects n-gram order by order, and only what the memo does not have: key and value are the sum
 * of what each order's rows contribute. Thread-safe; what a call needs is in its {@link MemoBlock}.
 */
final class MemoProjector {
  /**
   * Outputs of a slice. Of 512 the memo was read and written in pieces too small to be fast, of
   * 2,048 there were fewer pieces than many CPUs have threads; the sums took 65 us a token with
   * 1,024 as with 2,048, and 75 with 512.
   */
  static final int SLICE = 1024;

  private final LayerLayout layout;
  private final ProjectMemo memo;
  private final List<Slice> slices = new ArrayList<>();
  private final int orders;
  private final int outputs;
  private final int orderInputs;

  /**
   * Some of the outputs.
   *
   * @param first the first of them
   * @param kernels for each order, of these outputs alone
   */
  record Slice(int first, int outputs, List<Backend.Project> kernels) {}

  MemoProjector(Backend backend, LayerLayout layout, Projection projection, long bytes) {
    this.layout = layout;
    this.orders = layout.maxNgram() - 1;
    this.outputs = projection.outputs();
    this.orderInputs = projection.inputs() / orders;
    this.memo = new ProjectMemo(layout, outputs, bytes);
    int before = 0;
    for (Linear part : projection.parts()) {
      for (int first = 0; first < part.outputs(); first += SLICE) {
        int some = Math.min(SLICE, part.outputs() - first);
        List<Backend.Project> kernels = kernels(backend, part.ofOutputs(first, some));
        slices.add(new Slice(before + first, some, kernels));
      }
      before += part.outputs();
    }
  }

  private List<Backend.Project> kernels(Backend backend, Linear outputsOfAll) {
    Projection all = new Projection(List.of(outputsOfAll));
    List<Backend.Project> kernels = new ArrayList<>();
    for (int order = 0; order < orders; order++) {
      kernels.add(backend.project(all.ofInputs(order * orderInputs, orderInputs)));
    }
    return List.copyOf(kernels);
  }

  LayerStatistics.MemoStatistics statistics() {
    return memo.statistics();
  }

  /**
   * Projects one block.
   *
   * @param windows int32 [tokens, maxNgram]
   * @param rowIds int64 [tokens, columns]
   * @param rows float32 [tokens, inputs]
   * @param replaced which rows are not the table's own, whose projections are not remembered
   * @param kv float32 [tokens, outputs], written
   */
  void run(
      EngramBatch batch,
      MemorySegment windows,
      MemorySegment rowIds,
      MemorySegment rows,
      RowOverlay.Rows replaced,
      int tokens,
      MemorySegment kv) {
    MemoBlock block = batch.memoBlock();
    block.begin(slices, tokens, orderInputs, outputs);
    boolean well = false;
    try {
      for (int order = 0; order < orders; order++) {
        for (int token = 0; token < tokens; token++) {
          if (!isReplaced(rowIds, token, order, replaced)) {
            block.place(order, token, memo.pin(windows, token, 2 + order, block));
          }
          if (block.isMissing(order, token)) {
            block.compute(order, token, rows);
          }
        }
      }
      block.run(memo, batch.projector(), kv);
      well = true;
    } finally {
      block.end(memo, well);
    }
  }

  /**
   * Projects what n-grams of a seed contribute, those of one order, as far as there is room.
   *
   * @param windows int32 [tokens, maxNgram], which begin with the n-grams' ids
   * @param rowIds int64 [tokens, columns]; all are blanked but those that are needed
   * @param rows float32 [tokens, inputs], written by {@code gather}
   * @param gather fetches the rows of the ids
   */
  void seed(
      EngramBatch batch,
      int order,
      MemorySegment windows,
      MemorySegment rowIds,
      MemorySegment rows,
      RowOverlay.Rows replaced,
      int tokens,
      Runnable gather) {
    MemoBlock block = batch.memoBlock();
    block.begin(slices, tokens, orderInputs, outputs);
    boolean well = false;
    try {
      int taken = 0;
      for (int token = 0; token < tokens; token++) {
        if (!isReplaced(rowIds, token, order, replaced)) {
          block.place(order, token, memo.take(windows, token, 2 + order, block));
        }
        boolean placed = block.isPlaced(order, token);
        taken += placed ? 1 : 0;
        blankRowIds(rowIds, token, placed ? order : -1);
      }
      if (taken > 0) {
        gather.run();
        for (int token = 0; token < tokens; token++) {
          if (block.isPlaced(order, token)) {
            block.compute(order, token, rows);
          }
        }
        block.run(memo, batch.projector(), null);
      }
      well = true;
    } finally {
      block.end(memo, well);
    }
  }

  /** Blanks the row ids of all orders but one; rows of blank ids are not read. */
  private void blankRowIds(MemorySegment rowIds, int token, int kept) {
    for (int column = 0; column < layout.columns(); column++) {
      if (column / layout.headsPerNgram() != kept) {
        rowIds.setAtIndex(JAVA_LONG_UNALIGNED, (long) token * layout.columns() + column, -1);
      }
    }
  }

  private boolean isReplaced(MemorySegment rowIds, int token, int order, RowOverlay.Rows replaced) {
    int heads = layout.headsPerNgram();
    long first = (long) token * layout.columns() + (long) order * heads;
    for (int head = 0; head < heads; head++) {
      if (replaced.has(rowIds.getAtIndex(JAVA_LONG_UNALIGNED, first + head))) {
        return true;
      }
    }
    return false;
  }
}
