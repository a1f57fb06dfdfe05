package io.engram4j.backend;

import io.engram4j.conv.ConvWeights;
import io.engram4j.conv.JavaConv;
import io.engram4j.format.Dtype;
import io.engram4j.gate.GateWeights;
import io.engram4j.gate.HiddenStream;
import io.engram4j.gate.JavaGate;
import io.engram4j.gather.JavaGather;
import io.engram4j.gather.Table;
import io.engram4j.hash.JavaHash;
import io.engram4j.layout.LayerLayout;
import io.engram4j.project.JavaProject;
import io.engram4j.project.Projection;
import java.lang.foreign.MemorySegment;

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
  public void hash(LayerLayout layout, MemorySegment windows, long tokens, MemorySegment rowIds) {
    JavaHash.hash(layout, windows, tokens, rowIds);
  }

  @Override
  public void gather(
      Table table, MemorySegment rowIds, long count, MemorySegment out, Dtype outType) {
    JavaGather.gather(table, rowIds, count, out, outType);
  }

  @Override
  public void project(Projection projection, MemorySegment rows, int tokens, MemorySegment kv) {
    JavaProject.project(projection, rows, tokens, kv);
  }

  @Override
  public void gate(
      GateWeights weights,
      MemorySegment kv,
      HiddenStream hidden,
      MemorySegment mask,
      long tokens,
      MemorySegment gates) {
    JavaGate.gate(weights, kv, hidden, mask, tokens, gates);
  }

  @Override
  public void gateValues(
      GateWeights weights,
      MemorySegment kv,
      HiddenStream hidden,
      MemorySegment mask,
      long tokens,
      MemorySegment gates,
      MemorySegment gated) {
    JavaGate.gateValues(weights, kv, hidden, mask, tokens, gates, gated);
  }

  @Override
  public void conv(
      ConvWeights weights,
      MemorySegment gated,
      MemorySegment window,
      long tokens,
      MemorySegment delta) {
    JavaConv.conv(weights, gated, window, tokens, delta);
  }
}
