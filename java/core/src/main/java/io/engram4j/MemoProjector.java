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
    private Order[] orders = {};
    private float[] sum = {};
    private float[] term = {};
    private int capacity;

    /** What a block has of one order. */
    static final class Order {
      private MemorySegment contributions = MemorySegment.NULL; // of those that were computed
      private final int[] places = new int[Workspace.BLOCK];
      private final int[] computed = new int[Workspace.BLOCK]; // where among the contributions
    }

    private void reserve(int tokens, int count, int inputs, int outputs) {
      if (tokens > capacity) {
        capacity = tokens;
        rows = EngramBatch.allocate(4L * tokens * inputs);
        sum = new float[outputs];
        term = new float[outputs];
        orders = new Order[count];
        for (int i = 0; i < count; i++) {
          orders[i] = new Order();
          orders[i].contributions = EngramBatch.allocate(4L * tokens * outputs);
        }
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
    scratch.reserve(tokens, kernels.size(), orderInputs, outputs);
    for (Scratch.Order order : scratch.orders) {
      Arrays.fill(order.places, 0, tokens, ProjectMemo.PRIVATE); // nothing is pinned yet
    }
    try {
      for (int order = 0; order < kernels.size(); order++) {
        contribute(batch, windows, rowIds, rows, replaced, tokens, order);
      }
      for (int token = 0; token < tokens; token++) {
        add(scratch, token, kv.asSlice(4L * outputs * token, 4L * outputs));
      }
    } finally {
      for (Scratch.Order order : scratch.orders) {
        unpin(order, tokens);
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
    Scratch.Order own = scratch.orders[order];
    boolean well = false;
    try {
      int count = 0;
      for (int token = 0; token < tokens; token++) {
        if (!isReplaced(rowIds, token, order, replaced)) {
          own.places[token] = memo.pin(windows, token, 2 + order, scratch);
        }
        if (own.places[token] < 0) {
          copyInputs(rows, token, order, scratch.rows, count);
          own.computed[token] = count++;
        }
      }
      if (count > 0) {
        Backend.Project kernel = kernels.get(order);
        batch.projector().run(kernel, scratch.rows, count, outputs, own.contributions);
      }
      well = true;
    } finally {
      fill(own, tokens, well);
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
    Scratch scratch = batch.memoScratch();
    scratch.reserve(tokens, kernels.size(), orderInputs, outputs);
    Scratch.Order own = scratch.orders[order];
    Arrays.fill(own.places, 0, tokens, ProjectMemo.PRIVATE);
    boolean well = false;
    try {
      int count = 0;
      for (int token = 0; token < tokens; token++) {
        if (!isReplaced(rowIds, token, order, replaced)) {
          own.places[token] = memo.take(windows, token, 2 + order, scratch);
        }
        boolean taken = own.places[token] != ProjectMemo.PRIVATE;
        blankRowIds(rowIds, token, taken ? order : -1);
        count += taken ? 1 : 0;
      }
      if (count > 0) {
        gather.run();
        computeTaken(batch, own, order, rows, tokens);
      }
      well = true;
    } finally {
      fill(own, tokens, well);
      unpin(own, tokens);
    }
  }

  private void computeTaken(
      EngramBatch batch, Scratch.Order own, int order, MemorySegment rows, int tokens) {
    Scratch scratch = batch.memoScratch();
    int count = 0;
    for (int token = 0; token < tokens; token++) {
      if (own.places[token] != ProjectMemo.PRIVATE) {
        copyInputs(rows, token, order, scratch.rows, count);
        own.computed[token] = count++;
      }
    }
    batch.projector().run(kernels.get(order), scratch.rows, count, outputs, own.contributions);
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

  private void copyInputs(MemorySegment rows, int token, int order, MemorySegment to, int index) {
    long bytes = 4L * orderInputs;
    long from = bytes * ((long) token * kernels.size() + order);
    MemorySegment.copy(rows, from, to, bytes * index, bytes);
  }

  private void fill(Scratch.Order own, int tokens, boolean well) {
    long bytes = 4L * outputs;
    for (int token = 0; token < tokens; token++) {
      int place = own.places[token];
      if (place < 0 && place != ProjectMemo.PRIVATE) {
        if (well) {
          long from = bytes * own.computed[token];
          MemorySegment.copy(own.contributions, from, memo.at(~place), 0, bytes);
        }
        memo.filled(~place, well);
        own.places[token] = ~place;
      }
    }
  }

  private void unpin(Scratch.Order own, int tokens) {
    for (int token = 0; token < tokens; token++) {
      if (own.places[token] != ProjectMemo.PRIVATE) {
        memo.unpin(own.places[token]);
      }
    }
  }

  /**
   * Adds what all orders contribute, in their order. Through arrays, since the compiler does not
   * vectorise a loop over two segments; in one go, so that the sum stays in the cache.
   */
  private void add(Scratch scratch, int token, MemorySegment kv) {
    float[] sum = scratch.sum;
    float[] term = scratch.term;
    for (int order = 0; order < scratch.orders.length; order++) {
      Scratch.Order own = scratch.orders[order];
      int place = own.places[token];
      boolean computed = place == ProjectMemo.PRIVATE;
      MemorySegment from = computed ? own.contributions : memo.at(place);
      long at = computed ? 4L * outputs * own.computed[token] : 0;
      if (order == 0) {
        MemorySegment.copy(from, JAVA_FLOAT_UNALIGNED, at, sum, 0, outputs);
        continue;
      }
      MemorySegment.copy(from, JAVA_FLOAT_UNALIGNED, at, term, 0, outputs);
      for (int i = 0; i < sum.length; i++) {
        sum[i] += term[i];
      }
    }
    MemorySegment.copy(sum, 0, kv, JAVA_FLOAT_UNALIGNED, 0, outputs);
  }
}
