package io.engram4j.kernel.java;

import io.engram4j.kernel.Backend;
import io.engram4j.model.LayerLayout;
import io.engram4j.table.Table;
import io.engram4j.weights.ConvWeights;
import io.engram4j.weights.GateWeights;
import io.engram4j.weights.Projection;
import java.lang.foreign.Arena;

/** Plain Java: runs everywhere, and is the truth that every other backend is held to. */
public final class JavaBackend implements Backend {
  /** The name under which this backend is selected. */
  public static final String NAME = "java";

  /** Makes the backend, which has no state. */
  public JavaBackend() {}

  @Override
  public String name() {
    return NAME;
  }

  @Override
  public String description() {
    return "plain Java on " + System.getProperty("java.vm.version");
  }

  @Override
  public boolean acceptsMappings() {
    return false;
  }

  @Override
  public Hash hash(LayerLayout layout, Arena arena) {
    return (windows, tokens, rowIds) -> JavaHash.hash(layout, windows, tokens, rowIds);
  }

  @Override
  public Gather gather(Table table, Arena arena) {
    return (rowIds, count, out, outType) -> JavaGather.gather(table, rowIds, count, out, outType);
  }

  @Override
  public Project project(Projection projection, Arena arena) {
    return (rows, tokens, first, count, kv) ->
        JavaProject.project(projection, rows, tokens, first, count, kv);
  }

  @Override
  public Gate gate(GateWeights weights, Arena arena) {
    return (kv, hidden, mask, tokens, gates, gated) ->
        JavaGate.gate(weights, kv, hidden, mask, tokens, gates, gated);
  }

  @Override
  public Conv conv(ConvWeights weights, Arena arena) {
    return (gated, window, first, mask, tokens, hidden) ->
        JavaConv.conv(weights, gated, window, first, mask, tokens, hidden);
  }
}
