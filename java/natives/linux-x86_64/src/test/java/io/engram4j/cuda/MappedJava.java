package io.engram4j.cuda;

import io.engram4j.kernel.Backend;
import io.engram4j.kernel.java.JavaBackend;
import io.engram4j.model.LayerLayout;
import io.engram4j.table.Table;
import io.engram4j.weights.ConvWeights;
import io.engram4j.weights.GateWeights;
import io.engram4j.weights.Projection;
import java.lang.foreign.Arena;

/** Plain Java, the truth, on tables that are mapped: a device reads those by their address. */
final class MappedJava implements Backend {
  private final Backend java = new JavaBackend();

  @Override
  public boolean acceptsMappings() {
    return true;
  }

  @Override
  public String name() {
    return java.name();
  }

  @Override
  public String description() {
    return java.description();
  }

  @Override
  public Hash hash(LayerLayout layout, Arena arena) {
    return java.hash(layout, arena);
  }

  @Override
  public Gather gather(Table table, Arena arena) {
    return java.gather(table, arena);
  }

  @Override
  public Project project(Projection projection, Arena arena) {
    return java.project(projection, arena);
  }

  @Override
  public Gate gate(GateWeights weights, Arena arena) {
    return java.gate(weights, arena);
  }

  @Override
  public Conv conv(ConvWeights weights, Arena arena) {
    return java.conv(weights, arena);
  }
}
