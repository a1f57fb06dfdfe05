package io.engram4j.run;

import io.engram4j.kernel.Backend;
import io.engram4j.kernel.StageChecks;
import io.engram4j.model.Dtype;
import io.engram4j.model.EngramConfig;
import io.engram4j.table.RowOverlay;
import io.engram4j.table.Table;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Hashes and gathers for all layers of a model: by one kernel where all tables lie in memory and
 * the backend has one, else layer by layer. Thread-safe.
 */
@SuppressWarnings("NonAtomicVolatileUpdate") // of calls, which are a step's alone
public final class ModelLookup {
  private final EngramConfig config;
  private final List<LayerRuntime> layers;
  private final RowOverlay overlay;
  private final boolean inMemory;
  private final Backend backend;
  private final Arena arena;
  private volatile @Nullable Kernel kernel; // from the first lookup on

  /** What the backend has: perhaps nothing. */
  private record Kernel(Backend.@Nullable Lookup lookup) {}

  /**
   * A lookup.
   *
   * @param arena memory of the kernel
   */
  public ModelLookup(
      EngramConfig config,
      List<LayerRuntime> layers,
      RowOverlay overlay,
      Backend backend,
      Arena arena) {
    this.config = config;
    this.layers = layers;
    this.overlay = overlay;
    this.backend = backend;
    this.arena = arena;
    this.inMemory = layers.stream().allMatch(ModelLookup::isInMemory);
  }

  /** With copies of a table on several nodes, each lookup chooses one: the layers do that. */
  private static boolean isInMemory(LayerRuntime layer) {
    return layer.hasWeights()
        && layer.weights().table().isInMemory()
        && layer.weights().table().copies().size() == 1;
  }

  /** Threads that come at once each make one, and one of them stays. */
  private Backend.@Nullable Lookup kernel() {
    if (!inMemory) {
      return null;
    }
    Kernel made = kernel;
    if (made == null) {
      List<Table> tables =
          layers.stream().map(l -> l.weights().table().copies().getFirst()).toList();
      made =
          new Kernel(
              backend.lookup(layers.stream().map(LayerRuntime::layout).toList(), tables, arena));
      kernel = made;
    }
    return made.lookup();
  }

  /**
   * Writes row ids and rows of all layers.
   *
   * @param step whose tokens are looked up
   */
  public void run(Step step, MemorySegment rowIds, MemorySegment rows, Dtype outType) {
    LayerRuntime first = layers.getFirst();
    first.weights(); // throws if there are none
    Windows windows = step.windows();
    StageChecks.lookup(
        first.layout(),
        config.headDim(),
        layers.size(),
        windows.windowsFrom(0),
        windows.tokens(),
        rowIds,
        rows,
        outType);
    Lifetime.Call call = step.call(first);
    call.begin();
    try {
      Backend.Lookup fused = kernel();
      if (fused == null) {
        byLayers(step, rowIds, rows, outType);
      } else {
        List<RowOverlay.Rows> replaced = overlay.of(config.layerIds());
        fused.run(windows.windowsFrom(0), windows.tokens(), rowIds, rows, outType);
        if (!replaced.isEmpty()) {
          replace(replaced, windows.tokens(), rowIds, rows, outType);
        }
      }
    } catch (InternalError e) {
      throw first.shrunk(e);
    } finally {
      call.depth--;
    }
  }

  private void byLayers(Step step, MemorySegment rowIds, MemorySegment rows, Dtype outType) {
    Windows windows = step.windows();
    long count = (long) windows.tokens() * config.columns();
    for (int i = 0; i < layers.size(); i++) {
      MemorySegment ids = rowIds.asSlice(8 * count * i, 8 * count);
      layers.get(i).hash(windows.windowsFrom(0), windows.tokens(), ids);
      step.gather(layers.get(i), ids, count, rowsOf(rows, count, i, outType), outType);
    }
  }

  private void replace(
      List<RowOverlay.Rows> replaced,
      int tokens,
      MemorySegment rowIds,
      MemorySegment rows,
      Dtype outType) {
    long count = (long) tokens * config.columns();
    for (int i = 0; i < layers.size(); i++) {
      MemorySegment ids = rowIds.asSlice(8 * count * i, 8 * count);
      replaced.get(i).apply(ids, count, rowsOf(rows, count, i, outType), outType);
    }
  }

  private MemorySegment rowsOf(MemorySegment rows, long count, int layer, Dtype outType) {
    long bytes = count * config.headDim() * outType.bytes();
    return rows.asSlice(bytes * layer, bytes);
  }
}
