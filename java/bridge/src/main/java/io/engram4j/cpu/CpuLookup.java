package io.engram4j.cpu;

import io.engram4j.bindings.Engram;
import io.engram4j.bridge.Plans;
import io.engram4j.kernel.Backend;
import io.engram4j.kernel.StagewiseLookup;
import io.engram4j.model.Dtype;
import io.engram4j.model.LayerLayout;
import io.engram4j.table.Table;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.ref.Reference;
import java.util.ArrayList;
import java.util.List;

/** Hash and gather of all layers by one downcall. Memory on the heap goes through the stages. */
final class CpuLookup implements Backend.Lookup {
  private final Tier tier;
  private final List<Table> tables;
  private final HeldMemory held;
  private final StagewiseLookup stages;
  private final List<MemorySegment> plans = new ArrayList<>(); // keeps them alive
  private final MemorySegment layoutPlans;
  private final MemorySegment tablePlans;
  private final int[] columns;

  CpuLookup(
      Tier tier,
      List<LayerLayout> layouts,
      List<Table> tables,
      StagewiseLookup stages,
      Arena arena) {
    this.tier = tier;
    this.tables = List.copyOf(tables);
    this.held = HeldMemory.of(tables);
    this.stages = stages;
    this.columns = layouts.stream().mapToInt(LayerLayout::columns).toArray();
    this.layoutPlans = arena.allocate(ValueLayout.ADDRESS, tables.size());
    this.tablePlans = arena.allocate(ValueLayout.ADDRESS, tables.size());
    for (int layer = 0; layer < tables.size(); layer++) {
      MemorySegment layout = Plans.onHost(arena).layout(layouts.get(layer));
      MemorySegment table = Plans.onHost(arena).table(tables.get(layer));
      plans.add(layout);
      plans.add(table);
      layoutPlans.setAtIndex(ValueLayout.ADDRESS, layer, layout);
      tablePlans.setAtIndex(ValueLayout.ADDRESS, layer, table);
    }
  }

  @Override
  public void run(
      MemorySegment windows, long tokens, MemorySegment rowIds, MemorySegment rows, Dtype outType) {
    held.requireOpen();
    if (tokens == 0) {
      return;
    }
    boolean offHeap = windows.isNative() && rowIds.isNative() && rows.isNative();
    if (!offHeap || !held.fitsOneCall()) {
      stages.run(windows, tokens, rowIds, rows, outType);
      return;
    }
    try {
      int status =
          CpuCalls.lookup(
              tier,
              columns.length,
              layoutPlans,
              tablePlans,
              windows,
              tokens,
              rowIds,
              rows,
              Plans.type(outType),
              held);
      if (status == Engram.ENGRAM_ERROR_ROW()) {
        checkRows(rowIds, tokens);
      }
      if (status == Engram.ENGRAM_ERROR_MEMORY()) {
        stages.run(windows, tokens, rowIds, rows, outType); // which tells whose it was
        return;
      }
      CpuCalls.check("engram_lookup", status);
    } finally {
      Reference.reachabilityFence(tables); // the plans have only the addresses of their memory
      Reference.reachabilityFence(plans);
    }
  }

  /** Throws, naming table and row: a layout that does not fit its table. */
  private void checkRows(MemorySegment rowIds, long tokens) {
    long at = 0;
    for (int layer = 0; layer < columns.length; layer++) {
      for (long end = at + tokens * columns[layer]; at < end; at++) {
        tables.get(layer).check(rowIds.getAtIndex(ValueLayout.JAVA_LONG_UNALIGNED, at));
      }
    }
  }
}
