package io.engram4j.vector;

import io.engram4j.kernel.Backend;
import io.engram4j.kernel.java.JavaBackend;
import io.engram4j.model.LayerLayout;
import io.engram4j.table.Table;
import io.engram4j.weights.ConvWeights;
import io.engram4j.weights.GateWeights;
import io.engram4j.weights.Projection;

/** Gather, project and gate on the Vector API; hash and convolution are plain Java's. */
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
  public Hash hash(LayerLayout layout) {
    return plain.hash(layout);
  }

  @Override
  public Gather gather(Table table) {
    return VectorGather.fits(table) ? new VectorGather(table, plain) : plain.gather(table);
  }

  @Override
  public Project project(Projection projection) {
    return new VectorProject(projection, plain);
  }

  @Override
  public Gate gate(GateWeights weights) {
    return new VectorGate(weights, plain);
  }

  @Override
  public Conv conv(ConvWeights weights) {
    return plain.conv(weights);
  }
}
