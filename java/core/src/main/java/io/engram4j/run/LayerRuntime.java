package io.engram4j.run;

import io.engram4j.kernel.Backend;
import io.engram4j.model.LayerLayout;
import io.engram4j.table.RowOverlay;
import io.engram4j.table.Table;
import io.engram4j.weights.ConvWeights;
import io.engram4j.weights.LayerWeights;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.concurrent.atomic.LongAdder;
import org.jspecify.annotations.Nullable;

/** One layer of an open model, in one view: its tensors, kernels and counters. Thread-safe. */
public final class LayerRuntime {
  private final int index;
  private final LayerLayout layout;
  private final @Nullable LayerWeights weights;
  private final Backend backend;
  private final Lifetime lifetime;
  private final RowOverlay overlay;
  private final Backend.Hash hash;
  private final @Nullable Kernels kernels;
  private final LongAdder prefetches = new LongAdder();
  private final LongAdder stalls = new LongAdder();
  private final LongAdder begunLate = new LongAdder();
  private final LongAdder stalledNanos = new LongAdder();

  /** The kernels of the stages that need tensors. */
  private record Kernels(
      Table table,
      List<Backend.Gather> gathers, // one per copy of the table; none if it is not in memory
      Backend.Project project,
      ProjectStage stage,
      Backend.Gate gate,
      Backend.@Nullable Conv conv) {}

  /**
   * A layer.
   *
   * @param index its place among the model's layers
   * @param weights its tensors, or null if it can only hash
   * @param memo projects in place of the backend's kernel, or null
   * @param arena memory of the kernels
   */
  public LayerRuntime(
      int index,
      LayerLayout layout,
      @Nullable LayerWeights weights,
      Backend backend,
      @Nullable ProjectStage memo,
      Lifetime lifetime,
      RowOverlay overlay,
      Arena arena) {
    this.index = index;
    this.layout = layout;
    this.weights = weights;
    this.backend = backend;
    this.lifetime = lifetime;
    this.overlay = overlay;
    this.hash = backend.hash(layout, arena);
    this.kernels = weights == null ? null : kernels(backend, weights, memo, arena);
  }

  private static Kernels kernels(
      Backend backend, LayerWeights weights, @Nullable ProjectStage memo, Arena arena) {
    ConvWeights conv = weights.conv();
    Table table = weights.table();
    List<Table> copies = table.isInMemory() ? table.copies() : List.of();
    Backend.Project project = backend.project(weights.projection(), arena);
    return new Kernels(
        table,
        copies.stream().map(copy -> backend.gather(copy, arena)).toList(),
        project,
        memo == null ? ProjectStage.plain(project, weights.projection().outputs()) : memo,
        backend.gate(weights.gate(), arena),
        conv == null ? null : backend.conv(conv, arena));
  }

  /** Returns its place among the model's layers. */
  public int index() {
    return index;
  }

  /** Returns primes, offsets and multipliers. */
  public LayerLayout layout() {
    return layout;
  }

  /** Returns whether the layer has its tensors, or can only hash. */
  public boolean hasWeights() {
    return weights != null;
  }

  /**
   * Returns the tensors.
   *
   * @throws IllegalStateException if there are none
   */
  public LayerWeights weights() {
    if (weights == null) {
      throw withoutTensors();
    }
    return weights;
  }

  private Kernels kernels() {
    if (kernels == null) {
      throw withoutTensors();
    }
    return kernels;
  }

  private IllegalStateException withoutTensors() {
    return new IllegalStateException(
        "layer " + layout.layerId() + " was opened without its tensors");
  }

  Backend backend() {
    return backend;
  }

  /** Returns how long its memory lives. */
  public Lifetime lifetime() {
    return lifetime;
  }

  /** Returns the rows that are replaced just now. */
  public RowOverlay.Rows replaced() {
    return overlay.of(layout.layerId());
  }

  /** Computes row ids, for one who has checked. */
  public void hash(MemorySegment windows, int tokens, MemorySegment rowIds) {
    hash.run(windows, tokens, rowIds);
  }

  /** Returns the kernel on the nearest copy of the rows, or null if they are not in memory. */
  Backend.@Nullable Gather gather() {
    Kernels own = kernels();
    return own.gathers.isEmpty() ? null : own.gathers.get(own.table.nearest());
  }

  /** Returns the projection's kernel. */
  public Backend.Project project() {
    return kernels().project;
  }

  ProjectStage projectStage() {
    return kernels().stage;
  }

  Backend.Gate gate() {
    return kernels().gate;
  }

  Backend.@Nullable Conv conv() {
    return kernels().conv;
  }

  void countPrefetch() {
    prefetches.increment();
  }

  void countStall(boolean late, long nanos) {
    stalls.increment();
    begunLate.add(late ? 1 : 0);
    stalledNanos.add(nanos);
  }

  /** Returns how many batches were fetched ahead. */
  public long prefetches() {
    return prefetches.sum();
  }

  /** Returns how often a layer waited for rows. */
  public long stalls() {
    return stalls.sum();
  }

  /** Returns how often no thread had begun to fetch them. */
  public long begunLate() {
    return begunLate.sum();
  }

  /** Returns how long layers waited. */
  public long stalledNanos() {
    return stalledNanos.sum();
  }

  /** HotSpot turns the SIGBUS of a mapped page that is gone into an InternalError. */
  public UncheckedIOException shrunk(InternalError cause) {
    String message =
        "reading "
            + weights().table().name()
            + " of layer "
            + layout.layerId()
            + " failed: the file under the mapping has shrunk or its disk has failed";
    return new UncheckedIOException(new IOException(message, cause));
  }
}
