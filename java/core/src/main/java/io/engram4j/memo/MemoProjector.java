package io.engram4j.memo;

import static java.lang.foreign.ValueLayout.JAVA_LONG_UNALIGNED;

import io.engram4j.kernel.Backend;
import io.engram4j.model.LayerLayout;
import io.engram4j.run.ProjectStage;
import io.engram4j.run.Projector;
import io.engram4j.table.RowOverlay;
import io.engram4j.weights.Linear;
import io.engram4j.weights.Projection;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;

/**
 * Projects n-gram order by order, and only what the memo does not have: key and value are the sum
 * of what each order's rows contribute. Thread-safe; must not be closed while it is used.
 */
public final class MemoProjector implements ProjectStage, AutoCloseable {

  private final LayerLayout layout;
  private final Arena arena = Arena.ofShared(); // of the kernels
  private final ArrayDeque<MemoBlock> idle = new ArrayDeque<>();
  private final List<MemoBlock> blocks = new ArrayList<>();
  private final ProjectMemo memo;
  private final List<MemoBlock.Slice> slices = new ArrayList<>();
  private final int orders;
  private final int outputs;
  private final int orderInputs;

  /**
   * A memo of a layer's projection.
   *
   * @throws IllegalArgumentException if there are too few bytes, not so much memory, or an order's
   *     rows are no multiple of 32 elements and weights have scales
   */
  public MemoProjector(Backend backend, LayerLayout layout, Projection projection, long bytes) {
    this.layout = layout;
    this.orders = layout.maxNgram() - 1;
    this.outputs = projection.outputs();
    this.orderInputs = projection.inputs() / orders;
    this.memo = new ProjectMemo(layout, outputs, bytes);
    try {
      int before = 0;
      for (Linear part : projection.parts()) {
        for (int first = 0; first < part.outputs(); first += MemoBlock.SLICE) {
          int some = Math.min(MemoBlock.SLICE, part.outputs() - first);
          List<Backend.Project> kernels = kernels(backend, part.ofOutputs(first, some));
          slices.add(new MemoBlock.Slice(before + first, some, kernels));
        }
        before += part.outputs();
      }
    } catch (Throwable e) {
      close();
      throw e;
    }
  }

  private List<Backend.Project> kernels(Backend backend, Linear outputsOfAll) {
    Projection all = new Projection(List.of(outputsOfAll));
    List<Backend.Project> kernels = new ArrayList<>();
    for (int order = 0; order < orders; order++) {
      kernels.add(backend.project(all.ofInputs(order * orderInputs, orderInputs), arena));
    }
    return List.copyOf(kernels);
  }

  /** Returns what the memo has done. */
  public MemoCounts counts() {
    return memo.counts();
  }

  private MemoBlock take() {
    synchronized (idle) {
      MemoBlock block = idle.poll();
      if (block == null) {
        block = new MemoBlock(memo.words());
        blocks.add(block);
      }
      return block;
    }
  }

  private void give(MemoBlock block) {
    synchronized (idle) {
      idle.push(block);
    }
  }

  @Override
  public void run(
      Projector projector,
      MemorySegment windows,
      MemorySegment rowIds,
      MemorySegment rows,
      RowOverlay.Rows replaced,
      int tokens,
      MemorySegment kv) {
    MemoBlock block = take();
    block.begin(slices, tokens, orderInputs, outputs);
    boolean well = false;
    try {
      for (int order = 0; order < orders; order++) {
        for (int token = 0; token < tokens; token++) {
          if (!isReplaced(rowIds, token, order, replaced)) {
            key(block, windows, token, order);
            block.place(order, token, memo.pin(block.key(), block));
          }
          if (block.isMissing(order, token)) {
            block.compute(order, token, rows);
          }
        }
      }
      block.run(memo, projector, kv);
      well = true;
    } finally {
      block.end(memo, well);
      give(block);
    }
  }

  private void key(MemoBlock block, MemorySegment windows, int token, int order) {
    MemoKey.write(windows, token, layout.maxNgram(), 2 + order, block.key());
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
      Projector projector,
      int order,
      MemorySegment windows,
      MemorySegment rowIds,
      MemorySegment rows,
      RowOverlay.Rows replaced,
      int tokens,
      Runnable gather) {
    MemoBlock block = take();
    block.begin(slices, tokens, orderInputs, outputs);
    boolean well = false;
    try {
      int taken = 0;
      for (int token = 0; token < tokens; token++) {
        if (!isReplaced(rowIds, token, order, replaced)) {
          key(block, windows, token, order);
          block.place(order, token, memo.take(block.key(), block));
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
        block.run(memo, projector, null);
      }
      well = true;
    } finally {
      block.end(memo, well);
      give(block);
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

  @Override
  public void close() {
    synchronized (idle) {
      blocks.forEach(MemoBlock::close);
    }
    memo.close();
    arena.close();
  }
}
