package io.engram4j.kernel;

import io.engram4j.model.Dtype;
import io.engram4j.model.HiddenStream;
import io.engram4j.model.LayerLayout;
import io.engram4j.table.Table;
import io.engram4j.weights.ConvWeights;
import io.engram4j.weights.GateWeights;
import io.engram4j.weights.Projection;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The kernels of one implementation, one kind per stage. A kernel is made once for the weights of a
 * layer, so that a backend can put them where it wants them, and run many times.
 *
 * <p>Running a kernel is a pure function over a range of tokens: it keeps nothing between calls,
 * starts no threads, and may go on in several threads at once on different outputs. The caller has
 * checked sizes ({@link StageChecks}); what depends on the data, the range of row ids, each kernel
 * checks before it reads. Segments are little-endian, row-major, on or off the heap, at any
 * alignment; outputs do not overlap inputs. Integers must equal the Java backend's, floats lie
 * within the bounds of the conformance suite. A kernel does not keep the weights' memory open.
 *
 * <p>What a kernel needs of its own, such as weights in another form, it takes from the arena that
 * it is made with, and may be run until that is closed.
 */
public interface Backend {
  /** Returns the name by which it is selected, such as {@code java}. */
  String name();

  /** Returns what it is on this machine, in a few words: instruction set, library, device. */
  String description();

  /**
   * Returns whether kernels may be given mapped files. A file can become shorter under its mapping;
   * compiled Java then goes on with whatever is in a register, so plain Java is given memory of its
   * own.
   */
  default boolean acceptsMappings() {
    return true;
  }

  /** Makes the hash kernel of a layer. */
  Hash hash(LayerLayout layout, Arena arena);

  /** Makes the gather kernel of a table. */
  Gather gather(Table table, Arena arena);

  /**
   * Makes the kernel that hashes and gathers for all layers of a model in one call, or returns null
   * if it would do no better than the stages one by one.
   *
   * @param layouts one per layer
   * @param tables one per layer, in memory
   */
  default @Nullable Lookup lookup(List<LayerLayout> layouts, List<Table> tables, Arena arena) {
    return null;
  }

  /** Makes the projection kernel of a layer. */
  Project project(Projection projection, Arena arena);

  /** Makes the gate kernel of a layer. */
  Gate gate(GateWeights weights, Arena arena);

  /** Makes the convolution kernel of a layer. */
  Conv conv(ConvWeights weights, Arena arena);

  /** Stage hash: row ids from windows of compressed ids. */
  @FunctionalInterface
  interface Hash {
    /**
     * Writes row ids.
     *
     * @param windows int32 [tokens, maxNgram], newest first, the pad id where look-back is blocked
     * @param rowIds int64 [tokens, columns], written
     */
    void run(MemorySegment windows, long tokens, MemorySegment rowIds);
  }

  /** Stage gather: rows from row ids. */
  @FunctionalInterface
  interface Gather {
    /**
     * Writes rows.
     *
     * @param rowIds int64 [count]; -1 stands for a row of zeros
     * @param out [count, headDim] of {@code outType}, written
     * @param outType F32 or BF16
     * @throws IndexOutOfBoundsException if another id is outside the table
     */
    void run(MemorySegment rowIds, long count, MemorySegment out, Dtype outType);
  }

  /** The stages hash and gather of all layers at once, as a step needs them. */
  @FunctionalInterface
  interface Lookup {
    /**
     * Writes row ids and rows, one layer's after the other's.
     *
     * @param windows int32 [tokens, maxNgram], as for {@link Hash}
     * @param rowIds int64 [layers, tokens, columns], written
     * @param rows [layers, tokens, columns * headDim] of {@code outType}, written
     * @param outType F32 or BF16
     */
    void run(
        MemorySegment windows,
        long tokens,
        MemorySegment rowIds,
        MemorySegment rows,
        Dtype outType);
  }

  /** Stage project: key per branch and value from rows. */
  @FunctionalInterface
  interface Project {
    /**
     * Writes some of the keys' and values' elements. An element's bits do not depend on what else
     * is written, so threads can share the outputs between them.
     *
     * @param rows float32 [tokens, inputs]
     * @param first the first output that is written
     * @param count how many are
     * @param kv float32 [tokens, outputs]
     */
    void run(MemorySegment rows, int tokens, int first, int count, MemorySegment kv);
  }

  /** Stage gate: gates from keys and streams, and what they let through. */
  @FunctionalInterface
  interface Gate {
    /**
     * Writes gates, and gate * value: added to the stream as V4.1 has it, or apart for the paper's
     * convolution.
     *
     * @param kv float32 [tokens, (branches + 1) * hiddenSize]
     * @param mask int8 [tokens]; where 0 the stream keeps its bits and the gate is 0
     * @param gates float32 [tokens, branches], written
     * @param gated float32 [tokens, branches * hiddenSize], written, zeros where the mask is 0; the
     *     stream then stays. Or null, and the stream is updated
     */
    void run(
        MemorySegment kv,
        HiddenStream hidden,
        MemorySegment mask,
        long tokens,
        MemorySegment gates,
        @Nullable MemorySegment gated);
  }

  /** Stage conv: what the paper's layer adds to the stream. */
  @FunctionalInterface
  interface Conv {
    /**
     * Convolves consecutive tokens of one sequence and adds the result to the stream.
     *
     * @param gated float32 [tokens, channels]: gate * value; then what was added to the stream,
     *     gated value plus SiLU of its convolution, and zeros where the mask is 0
     * @param window float32 [rows, channels], on or off the heap: the {@code reach} rows before
     *     {@code first} are the normalised values of the tokens before, those from it on are
     *     written
     * @param first the row of the first token
     * @param mask int8 [tokens]; where 0 the stream keeps its bits
     */
    void run(
        MemorySegment gated,
        MemorySegment window,
        int first,
        MemorySegment mask,
        long tokens,
        HiddenStream hidden);
  }
}
