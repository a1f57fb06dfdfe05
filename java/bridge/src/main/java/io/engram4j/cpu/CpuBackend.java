package io.engram4j.cpu;

import io.engram4j.bindings.Engram;
import io.engram4j.kernel.Backend;
import io.engram4j.kernel.StagewiseLookup;
import io.engram4j.model.LayerLayout;
import io.engram4j.table.Table;
import io.engram4j.weights.ConvWeights;
import io.engram4j.weights.GateWeights;
import io.engram4j.weights.Projection;
import java.util.List;

/** The C kernels at one instruction-set tier. */
final class CpuBackend implements Backend {
  static final String NAME = "cpu";

  private final Tier tier;

  CpuBackend(Tier tier) {
    this.tier = tier;
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
        + CpuProvider.LIBRARY.get().path();
  }

  @Override
  public Hash hash(LayerLayout layout) {
    return new CpuKernels.CpuHash(tier, layout);
  }

  @Override
  public Gather gather(Table table) {
    return new CpuKernels.CpuGather(tier, table);
  }

  @Override
  public Lookup lookup(List<LayerLayout> layouts, List<Table> tables) {
    return new CpuLookup(tier, layouts, tables, new StagewiseLookup(this, layouts, tables));
  }

  @Override
  public Project project(Projection projection) {
    return new CpuKernels.CpuProject(tier, projection);
  }

  @Override
  public Gate gate(GateWeights weights) {
    return new CpuKernels.CpuGate(tier, weights);
  }

  @Override
  public Conv conv(ConvWeights weights) {
    return new CpuKernels.CpuConv(tier, weights);
  }
}
