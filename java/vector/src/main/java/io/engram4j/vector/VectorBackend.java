package io.engram4j.vector;

import io.engram4j.kernel.Backend;
import io.engram4j.kernel.java.JavaBackend;
import io.engram4j.model.LayerLayout;
import io.engram4j.table.Table;
import io.engram4j.weights.ConvWeights;
import io.engram4j.weights.GateWeights;
import io.engram4j.weights.Projection;
import java.lang.foreign.Arena;

/** Gather, project, gate and convolution on the Vector API; hash is plain Java's. */
final class VectorBackend implements Backend {
  private final JavaBackend plain = new JavaBackend();

  @Override
  public String name() {
    return "vector";
  }

  @Override
  public String description() {
    return "Vector API, "
        + Vectors.F.vectorBitSize()
        + " bits, on "
        + System.getProperty("java.vm.version");
  }

  @Override
  public boolean acceptsMappings() {
    return false;
  }

  @Override
  public Hash hash(LayerLayout layout, Arena arena) {
    return plain.hash(layout, arena);
  }

  @Override
  public Gather gather(Table table, Arena arena) {
    Gather own = plain.gather(table, arena);
    return VectorGather.fits(table) ? new VectorGather(table, own) : own;
  }

  @Override
  public Project project(Projection projection, Arena arena) {
    return new VectorProject(projection, plain.project(projection, arena));
  }

  @Override
  public Gate gate(GateWeights weights, Arena arena) {
    return new VectorGate(weights, plain.gate(weights, arena), arena);
  }

  @Override
  public Conv conv(ConvWeights weights, Arena arena) {
    Conv own = plain.conv(weights, arena);
    return VectorConv.fits(weights) ? new VectorConv(weights, own) : own;
  }
}
