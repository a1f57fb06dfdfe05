package io.engram4j;

import io.engram4j.kernel.Backend;
import io.engram4j.kernel.StageChecks;
import io.engram4j.model.Dtype;
import io.engram4j.model.EngramConfig;
import io.engram4j.table.RowOverlay;
import io.engram4j.table.Table;
import java.lang.foreign.MemorySegment;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** {@link EngramModel#lookup}: by one kernel where all tables lie in memory, else by layers. */
final class ModelLookup {
  private final EngramModel model;
  private final List<EngramLayer> layers;
  private final boolean inMemory;
  private volatile Backend.@Nullable Lookup kernel; // from the first lookup on

  ModelLookup(EngramModel model, List<EngramLayer> layers) {
    this.model = model;
    this.layers = layers;
    this.inMemory = layers.stream().allMatch(ModelLookup::isInMemory);
  }

  /** With copies of a table on several nodes, each lookup chooses one: the layers do that. */
  private static boolean isInMemory(EngramLayer layer) {
    return layer.hasWeights()
        && layer.weights().table().isInMemory()
        && layer.weights().table().copies().size() == 1;
  }

  /** Threads that come at once each make one, and one of them stays. */
  private Backend.Lookup kernel() {
    Backend.Lookup made = kernel;
    if (made != null) {
      return made;
    }
    List<Table> tables = layers.stream().map(l -> l.weights().table().copies().getFirst()).toList();
    made = model.backend().lookup(layers.stream().map(EngramLayer::layout).toList(), tables);
    kernel = made;
    return made;
  }

  void run(EngramBatch batch, MemorySegment rowIds, MemorySegment rows, Dtype outType) {
    EngramConfig config = model.config();
    EngramLayer first = layers.getFirst();
    first.model().requireOwn(batch);
    first.weights(); // throws if there are none
    MemorySegment windows = batch.windowsFrom(0);
    StageChecks.lookup(
        first.layout(),
        config.headDim(),
        layers.size(),
        windows,
        batch.tokens(),
        rowIds,
        rows,
        outType);
    if (!inMemory) {
      byLayers(batch, rowIds, rows, outType);
      return;
    }
    model.enter();
    try {
      List<RowOverlay.Rows> replaced = model.overlay().of(config.layerIds());
      kernel().run(windows, batch.tokens(), rowIds, rows, outType);
      if (!replaced.isEmpty()) {
        replace(replaced, batch, rowIds, rows, outType);
      }
    } catch (InternalError e) {
      throw first.shrunk(e);
    } finally {
      model.exit();
    }
  }

  private void byLayers(
      EngramBatch batch, MemorySegment rowIds, MemorySegment rows, Dtype outType) {
    long count = (long) batch.tokens() * model.config().columns();
    for (int i = 0; i < layers.size(); i++) {
      MemorySegment ids = rowIds.asSlice(8 * count * i, 8 * count);
      layers.get(i).hash(batch, ids);
      layers.get(i).gather(ids, count, rowsOf(rows, count, i, outType), outType);
    }
  }

  private void replace(
      List<RowOverlay.Rows> replaced,
      EngramBatch batch,
      MemorySegment rowIds,
      MemorySegment rows,
      Dtype outType) {
    long count = (long) batch.tokens() * model.config().columns();
    for (int i = 0; i < layers.size(); i++) {
      MemorySegment ids = rowIds.asSlice(8 * count * i, 8 * count);
      MemorySegment own = rowsOf(rows, count, i, outType);
      replaced.get(i).apply(ids, count, own, outType);
    }
  }

  private MemorySegment rowsOf(MemorySegment rows, long count, int layer, Dtype outType) {
    long bytes = count * model.config().headDim() * outType.bytes();
    return rows.asSlice(bytes * layer, bytes);
  }
}
