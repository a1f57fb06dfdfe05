package io.engram4j.backend;

import io.engram4j.conv.ConvWeights;
import io.engram4j.format.Dtype;
import io.engram4j.gate.GateWeights;
import io.engram4j.gate.HiddenStream;
import io.engram4j.gather.Table;
import io.engram4j.layout.LayerLayout;
import io.engram4j.project.Projection;
import java.lang.foreign.MemorySegment;

/**
 * The kernels of one implementation, a method per stage. The methods are pure functions over a
 * range of tokens: they keep nothing between calls, start no threads and are safe to call from
 * several threads on different outputs.
 *
 * <p>The caller has checked sizes ({@link StageChecks}); what depends on the data, the range of row
 * ids, each backend checks before it reads. Segments are little-endian, row-major, on or off the
 * heap, at any alignment; outputs do not overlap inputs. Integers must equal the Java backend's,
 * floats lie within the bounds of the conformance suite.
 */
public interface Backend {
  /** Returns the name by which it is selected, such as {@code java}. */
  String name();

  /** Returns what it is on this machine, in a few words: instruction set, library, device. */
  String description();

  /**
   * Stage hash: row ids from windows of compressed ids.
   *
   * @param windows int32 [tokens, maxNgram], newest first, the pad id where look-back is blocked
   * @param rowIds int64 [tokens, columns], written
   */
  void hash(LayerLayout layout, MemorySegment windows, long tokens, MemorySegment rowIds);

  /**
   * Stage gather: rows from row ids.
   *
   * @param rowIds int64 [count]; -1 stands for a row of zeros
   * @param out [count, headDim] of {@code outType}, written
   * @param outType F32 or BF16
   * @throws IndexOutOfBoundsException if another id is outside the table
   */
  void gather(Table table, MemorySegment rowIds, long count, MemorySegment out, Dtype outType);

  /**
   * Stage project: key per branch and value from rows.
   *
   * @param rows float32 [tokens, inputs]
   * @param kv float32 [tokens, outputs], written
   */
  void project(Projection projection, MemorySegment rows, int tokens, MemorySegment kv);

  /**
   * Stage gate, as V4.1 has it: adds gate * value to the stream.
   *
   * @param kv float32 [tokens, (branches + 1) * hiddenSize]
   * @param mask int8 [tokens]; where 0 the stream keeps its bits and the gate is 0
   * @param gates float32 [tokens, branches], written
   */
  void gate(
      GateWeights weights,
      MemorySegment kv,
      HiddenStream hidden,
      MemorySegment mask,
      long tokens,
      MemorySegment gates);

  /**
   * Stage gate, as the paper has it: leaves the stream alone and writes gate * value.
   *
   * @param gated float32 [tokens, branches * hiddenSize], written; zeros where the mask is 0
   */
  void gateValues(
      GateWeights weights,
      MemorySegment kv,
      HiddenStream hidden,
      MemorySegment mask,
      long tokens,
      MemorySegment gates,
      MemorySegment gated);

  /**
   * Stage conv: what the paper's layer adds to the stream.
   *
   * @param gated float32 [tokens, channels]
   * @param window float32 [reach + tokens, channels]: normalised values of the tokens before, then
   *     room for those of these tokens, which are written
   * @param delta float32 [tokens, channels], written
   */
  void conv(
      ConvWeights weights,
      MemorySegment gated,
      MemorySegment window,
      long tokens,
      MemorySegment delta);
}
