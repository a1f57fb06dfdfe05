package io.engram4j;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_LONG_UNALIGNED;

import io.engram4j.backend.Backend;
import io.engram4j.layout.LayerLayout;
import io.engram4j.project.Projection;
import io.engram4j.table.RowOverlay;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Projects n-gram order by order, and only what the memo does not have: key and value are the sum
 * of what each order's rows contribute. Thread-safe; what a call needs is in its {@link Scratch}.
 */
final class MemoProjector {
  private final LayerLayout layout;
  private final ProjectMemo memo;
  private final List<Backend.Project> kernels = new ArrayList<>(); // per order
  private final int outputs;
  private final int orderInputs;

  /** What one batch needs, reused from block to block. */
  static final class Scratch {
    private MemorySegment rows = MemorySegment.NULL;
    private MemorySegment contributions = MemorySegment.NULL;
    private final int[] places = new int[Workspace.BLOCK];
    private final int[] computed = new int[Workspace.BLOCK]; // where among those computed
    private float[] sum = {};
    private float[] term = {};
    private int capacity;

    private void reserve(int tokens, int inputs, int outputs) {
      if (tokens > capacity) {
        capacity = tokens;
        rows = EngramBatch.allocate(4L * tokens * inputs);
        contributions = EngramBatch.allocate(4L * tokens * outputs);
        sum = new float[outputs];
        term = new float[outputs];
      }
    }
  }

  MemoProjector(Backend backend, LayerLayout layout, Projection projection, long bytes) {
    this.layout = layout;
    this.outputs = projection.outputs();
    this.orderInputs = projection.inputs() / (layout.maxNgram() - 1);
    this.memo = new ProjectMemo(layout, outputs, bytes);
    for (int from = 0; from < projection.inputs(); from += orderInputs) {
      kernels.add(backend.project(projection.ofInputs(from, orderInputs)));
    }
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
    Scratch scratch = batch.memoScratch();
    scratch.reserve(tokens, orderInputs, outputs);
    for (int order = 0; order < kernels.size(); order++) {
      Arrays.fill(scratch.places, 0, tokens, ProjectMemo.PRIVATE); // nothing is pinned yet
      try {
        contribute(batch, windows, rowIds, rows, replaced, tokens, order);
        for (int token = 0; token < tokens; token++) {
          add(scratch, token, order == 0, kv);
        }
      } finally {
        unpin(scratch, tokens);
      }
    }
  }

  /** Pins what the memo has of one order, and computes the rest. */
  private void contribute(
      EngramBatch batch,
      MemorySegment windows,
      MemorySegment rowIds,
      MemorySegment rows,
      RowOverlay.Rows replaced,
      int tokens,
      int order) {
    Scratch scratch = batch.memoScratch();
    boolean well = false;
    try {
      int count = 0;
      for (int token = 0; token < tokens; token++) {
        if (!isReplaced(rowIds, token, order, replaced)) {
          scratch.places[token] = memo.pin(windows, token, 2 + order, scratch);
        }
        if (scratch.places[token] < 0) {
          copyInputs(rows, token, order, scratch.rows, count);
          scratch.computed[token] = count++;
        }
      }
      if (count > 0) {
        Backend.Project kernel = kernels.get(order);
        batch.projector().run(kernel, scratch.rows, count, outputs, scratch.contributions);
      }
      well = true;
    } finally {
      fill(scratch, tokens, well);
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

  private void copyInputs(MemorySegment rows, int token, int order, MemorySegment to, int index) {
    long bytes = 4L * orderInputs;
    long from = bytes * ((long) token * kernels.size() + order);
    MemorySegment.copy(rows, from, to, bytes * index, bytes);
  }

  private void fill(Scratch scratch, int tokens, boolean well) {
    long bytes = 4L * outputs;
    for (int token = 0; token < tokens; token++) {
      int place = scratch.places[token];
      if (place < 0 && place != ProjectMemo.PRIVATE) {
        if (well) {
          long from = bytes * scratch.computed[token];
          MemorySegment.copy(scratch.contributions, from, memo.at(~place), 0, bytes);
        }
        memo.filled(~place, well);
        scratch.places[token] = ~place;
      }
    }
  }

  private void unpin(Scratch scratch, int tokens) {
    for (int token = 0; token < tokens; token++) {
      if (scratch.places[token] != ProjectMemo.PRIVATE) {
        memo.unpin(scratch.places[token]);
      }
    }
  }

  private void add(Scratch scratch, int token, boolean first, MemorySegment kv) {
    int place = scratch.places[token];
    long bytes = 4L * outputs;
    MemorySegment from =
        place == ProjectMemo.PRIVATE
            ? scratch.contributions.asSlice(bytes * scratch.computed[token], bytes)
            : memo.at(place);
    MemorySegment to = kv.asSlice(bytes * token, bytes);
    if (first) {
      to.copyFrom(from);
      return;
    }
    // through arrays: the compiler does not vectorise a loop over two segments
    float[] sum = scratch.sum;
    float[] term = scratch.term;
    MemorySegment.copy(to, JAVA_FLOAT_UNALIGNED, 0, sum, 0, outputs);
    MemorySegment.copy(from, JAVA_FLOAT_UNALIGNED, 0, term, 0, outputs);
    for (int i = 0; i < sum.length; i++) {
      sum[i] += term[i];
    }
    MemorySegment.copy(sum, 0, to, JAVA_FLOAT_UNALIGNED, 0, outputs);
  }
}
