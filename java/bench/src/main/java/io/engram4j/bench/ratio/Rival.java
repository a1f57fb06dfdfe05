package io.engram4j.bench.ratio;

import java.lang.foreign.MemorySegment;
import java.util.Optional;

/** A library that a user could take instead; found through {@link java.util.ServiceLoader}. */
public interface Rival extends AutoCloseable {
  /** Returns its name and version. */
  String name();

  /**
   * A layer without its projection: hash, gather, gate.
   *
   * @param tokens of a call
   * @param windows int32 [tokens, 4]
   * @param table packed fp8 rows, [rows, 264]
   * @param kv float32 [tokens, 5, 5120]
   * @param stream float32 [tokens, 4, 5120], updated
   * @param product float32 [4, 5120]
   */
  record Layer(
      int tokens,
      MemorySegment windows,
      MemorySegment multipliers,
      MemorySegment primes,
      MemorySegment offsets,
      MemorySegment table,
      MemorySegment kv,
      MemorySegment stream,
      MemorySegment product) {}

  /**
   * A projection.
   *
   * @param weight float32 [outputs, inputs]
   * @param in float32 [tokens, inputs]
   * @param out float32 [tokens, outputs], written
   */
  record Project(
      int tokens,
      int outputs,
      int inputs,
      MemorySegment weight,
      MemorySegment in,
      MemorySegment out) {}

  /**
   * One token of Qwen's layer without its projections: hash, gather, gate, convolution.
   *
   * @param window int32 [3], newest first
   * @param table bf16 [rows, 160]
   * @param kv float32 [5, 2560]
   * @param stream float32 [4, 2560], updated
   * @param keyNorm [4, 2560], the 1 added, as the other norms
   * @param taps [4, 2560, 4]
   * @param state float32 [10, 4, 2560]: what the convolution looks back on, then this token's
   */
  @SuppressWarnings("ArrayRecordComponent") // handed over once
  record Ple(
      MemorySegment window,
      long[] multipliers,
      long[] sizes,
      long[] offsets,
      MemorySegment table,
      MemorySegment kv,
      MemorySegment stream,
      float[] keyNorm,
      float[] queryNorm,
      float[] convNorm,
      float[] taps,
      MemorySegment state) {}

  /**
   * One that runs layers: each run computes all stages and writes the rows it made to {@code
   * rows()}.
   */
  interface LayerRun extends Runnable {
    /** Returns the rows of the last run, float32 [tokens, 6144], copied. */
    float[] rows();
  }

  /** Prepares a layer, if it can run one. */
  default Optional<LayerRun> layer(Layer layer) {
    return Optional.empty();
  }

  /** Prepares a token of Qwen's layer, if it can run one. */
  default Optional<Runnable> ple(Ple ple) {
    return Optional.empty();
  }

  /** Prepares a projection, if it can run one. */
  default Optional<Runnable> project(Project project) {
    return Optional.empty();
  }

  /** What {@link #narrowProject} multiplies in, such as {@code int8}. */
  default String narrowType() {
    return "";
  }

  /**
   * Prepares a projection with weights of fewer bits, if it offers that: what a user would take who
   * can spare some digits.
   */
  default Optional<Runnable> narrowProject(Project project) {
    return Optional.empty();
  }

  @Override
  void close();
}
