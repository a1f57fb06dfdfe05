package io.engram4j.cpu;

import io.engram4j.bindings.Engram;
import io.engram4j.kernel.Backend;
import io.engram4j.kernel.StagewiseLookup;
import io.engram4j.model.LayerLayout;
import io.engram4j.table.Table;
import io.engram4j.weights.ConvWeights;
import io.engram4j.weights.GateWeights;
import io.engram4j.weights.Projection;
import java.lang.foreign.Arena;
import java.util.List;

/** The C kernels at one instruction-set tier. */
final class CpuBackend implements Backend {
  static final String NAME = "cpu";

  private final Tier tier;
  private final String library;
  private final String guard;

  /**
   * The kernels of a tier.
   *
   * @param guard why there is no {@link FaultGuard}, or empty
   */
  CpuBackend(Tier tier, String library, String guard) {
    this.tier = tier;
    this.library = library;
    this.guard = guard;
  }

  @Override
  public String name() {
    return NAME;
  }

  @Override
  public String description() {
    return "C kernels, tier "
        + tier
        + ", ABI "
        + Engram.ENGRAM_ABI()
        + ", built by "
        + CpuCalls.buildInfo()
        + ", "
        + library
        + (guard.isEmpty() ? "" : ", unguarded: " + guard);
  }

  @Override
  public Hash hash(LayerLayout layout, Arena arena) {
    return new CpuKernels.CpuHash(tier, layout, arena);
  }

  @Override
  public Gather gather(Table table, Arena arena) {
    return new CpuKernels.CpuGather(tier, table, arena);
  }

  @Override
  public Lookup lookup(List<LayerLayout> layouts, List<Table> tables, Arena arena) {
    StagewiseLookup stages = new StagewiseLookup(this, layouts, tables, arena);
    return new CpuLookup(tier, layouts, tables, stages, arena);
  }

  @Override
  public Project project(Projection projection, Arena arena) {
    return new CpuKernels.CpuProject(tier, projection, arena);
  }

  @Override
  public Gate gate(GateWeights weights, Arena arena) {
    return new CpuKernels.CpuGate(tier, weights, arena);
  }

  @Override
  public Conv conv(ConvWeights weights, Arena arena) {
    return new CpuKernels.CpuConv(tier, weights, arena);
  }
}
