package io.engram4j.kernel;

import io.engram4j.model.Dtype;
import io.engram4j.model.HiddenStream;
import io.engram4j.model.LayerLayout;
import io.engram4j.table.Table;
import io.engram4j.weights.ConvWeights;
import io.engram4j.weights.GateWeights;
import io.engram4j.weights.Projection;
import java.lang.foreign.MemorySegment;

/**
 * The size checks of every stage, made before a backend is called so that no backend has to: each
 * throws an {@link IllegalArgumentException} that names the argument and both sizes.
 */
public final class StageChecks {
  private StageChecks() {}

  /** Checks the arguments of {@link Backend.Hash#run}. */
  public static void hash(
      LayerLayout layout, MemorySegment windows, long tokens, MemorySegment rowIds) {
    holds("windows", windows, 4, tokens, layout.maxNgram());
    writable("row ids", rowIds, 8, tokens, layout.columns());
  }

  /** Checks the arguments of {@link Backend.Gather#run}, but for the row ids themselves. */
  public static void gather(
      Table table, MemorySegment rowIds, long count, MemorySegment out, Dtype outType) {
    if (outType != Dtype.F32 && outType != Dtype.BF16) {
      throw new IllegalArgumentException("rows come as F32 or BF16, not " + outType);
    }
    holds("row ids", rowIds, 8, count, 1);
    writable("rows", out, outType.bytes(), count, table.headDim());
  }

  /** Checks the arguments of {@link Backend.Lookup#run}, for layers that are alike. */
  public static void lookup(
      LayerLayout layout,
      int headDim,
      int layers,
      MemorySegment windows,
      long tokens,
      MemorySegment rowIds,
      MemorySegment rows,
      Dtype outType) {
    if (outType != Dtype.F32 && outType != Dtype.BF16) {
      throw new IllegalArgumentException("rows come as F32 or BF16, not " + outType);
    }
    holds("windows", windows, 4, tokens, layout.maxNgram());
    long all = Math.multiplyExact(tokens, (long) layers);
    writable("row ids", rowIds, 8, all, layout.columns());
    writable("rows", rows, outType.bytes(), all, (long) layout.columns() * headDim);
  }

  /** Checks the arguments of {@link Backend.Project#run}. */
  public static void project(
      Projection projection, MemorySegment rows, int tokens, MemorySegment kv) {
    holds("rows", rows, 4, tokens, projection.inputs());
    writable("key and value", kv, 4, tokens, projection.outputs());
  }

  /** Checks the arguments of {@link Backend.Gate#run}. */
  public static void gate(
      GateWeights weights,
      MemorySegment kv,
      HiddenStream hidden,
      MemorySegment mask,
      long tokens,
      MemorySegment gates) {
    holds("key and value", kv, 4, tokens, (weights.branches() + 1L) * weights.hiddenSize());
    holds("mask", mask, 1, tokens, 1);
    writable("gates", gates, 4, tokens, weights.branches());
    hidden.check(tokens, weights.branches(), weights.hiddenSize());
  }

  /** Checks the arguments of {@link Backend.Conv#run}. */
  public static void conv(
      ConvWeights weights,
      MemorySegment gated,
      MemorySegment window,
      int first,
      MemorySegment mask,
      long tokens,
      HiddenStream hidden) {
    if (first < weights.reach()) {
      throw new IllegalArgumentException(
          "row " + first + " of the convolution window has no " + weights.reach() + " before it");
    }
    writable("gated values", gated, 4, tokens, weights.channels());
    long rows = Math.addExact(tokens, first);
    writable("convolution window", window, 4, rows, weights.channels());
    holds("mask", mask, 1, tokens, 1);
    hidden.check(tokens, weights.branches(), weights.hiddenSize());
  }

  private static void writable(
      String what, MemorySegment segment, int bytes, long count, long width) {
    if (segment.isReadOnly()) {
      throw new IllegalArgumentException(what + " must be writable but is read-only");
    }
    holds(what, segment, bytes, count, width);
  }

  private static void holds(String what, MemorySegment segment, int bytes, long count, long width) {
    if (count < 0) {
      throw new IllegalArgumentException("count " + count + " of " + what + " is negative");
    }
    long needed = Math.multiplyExact(Math.multiplyExact(count, width), (long) bytes);
    if (segment.byteSize() < needed) {
      throw new IllegalArgumentException(
          what
              + " holds "
              + segment.byteSize()
              + " bytes, but "
              + count
              + " x "
              + width
              + " elements of "
              + bytes
              + " bytes are "
              + needed);
    }
  }
}
