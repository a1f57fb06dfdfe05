package io.engram4j.kernel;

import io.engram4j.model.Dtype;
import io.engram4j.model.LayerLayout;
import io.engram4j.table.Table;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;

/** A lookup that runs a backend's hash and gather kernels one by one. */
public final class StagewiseLookup implements Backend.Lookup {
  private final List<Backend.Hash> hashes;
  private final List<Backend.Gather> gathers;
  private final int[] columns;
  private final int[] headDims;

  /** Makes the kernels of all layers. */
  public StagewiseLookup(
      Backend backend, List<LayerLayout> layouts, List<Table> tables, Arena arena) {
    this.hashes = layouts.stream().map(layout -> backend.hash(layout, arena)).toList();
    this.gathers = tables.stream().map(table -> backend.gather(table, arena)).toList();
    this.columns = layouts.stream().mapToInt(LayerLayout::columns).toArray();
    this.headDims = tables.stream().mapToInt(Table::headDim).toArray();
  }

  /** Makes a backend's own lookup, or this one if it has none. */
  public static Backend.Lookup orOwn(
      Backend backend, List<LayerLayout> layouts, List<Table> tables, Arena arena) {
    Backend.Lookup own = backend.lookup(layouts, tables, arena);
    return own == null ? new StagewiseLookup(backend, layouts, tables, arena) : own;
  }

  @Override
  public void run(
      MemorySegment windows, long tokens, MemorySegment rowIds, MemorySegment rows, Dtype outType) {
    long id = 0;
    long row = 0;
    for (int layer = 0; layer < columns.length; layer++) {
      long count = tokens * columns[layer];
      MemorySegment ids = rowIds.asSlice(id, 8 * count);
      long bytes = count * headDims[layer] * outType.bytes();
      hashes.get(layer).run(windows, tokens, ids);
      gathers.get(layer).run(ids, count, rows.asSlice(row, bytes), outType);
      id += 8 * count;
      row += bytes;
    }
  }
}
