package io.engram4j.kernel.java;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;

import io.engram4j.format.E8m0;
import io.engram4j.weights.Linear;
import io.engram4j.weights.Projection;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * The projection in plain Java: float32 in and out, accumulated in double in this order: inputs in
 * tiles of 32; within a tile the products are added in ascending order, beginning with zero; the
 * tile's sum, times the tile's scale where there is one, is added to the output in ascending order
 * of tiles; the bias comes next, and one rounding to float32 last. The order does not depend on the
 * number of tokens, so decoding one by one gives the same bits as prefill. Double costs plain Java
 * nothing and makes this the truth: float32 sums were off by 1.5e-7, which cancellation in the
 * stream turned into 2 steps of bf16 once in a million elements.
 */
public final class JavaProject {
  private static final int TILE = Linear.TILE;

  private JavaProject() {}

  /**
   * Projects the rows of {@code tokens} tokens to the outputs from {@code from} on.
   *
   * @param rows float32 [tokens, inputs]
   * @param kv float32 [tokens, outputs], of which those outputs are written
   */
  public static void project(
      Projection projection,
      MemorySegment rows,
      int tokens,
      int from,
      int outputs,
      MemorySegment kv) {
    int inputs = projection.inputs();
    int padded = Linear.tiles(inputs) * TILE;
    double[] x = new double[Math.multiplyExact(tokens, padded)]; // zeros fill a last, partial tile
    for (int token = 0; token < tokens; token++) {
      for (int k = 0; k < inputs; k++) {
        x[token * padded + k] = rows.getAtIndex(JAVA_FLOAT_UNALIGNED, (long) token * inputs + k);
      }
    }
    int column = 0;
    for (Linear part : projection.parts()) {
      int begin = Math.max(0, from - column);
      int end = Math.min(part.outputs(), from + outputs - column);
      for (int first = begin / TILE * TILE; first < end; first += TILE) {
        double[] sums = tileRow(part, first, x, tokens, padded);
        for (int token = 0; token < tokens; token++) {
          long at = 4L * ((long) token * projection.outputs() + column);
          for (int o = Math.max(begin, first); o < Math.min(end, first + TILE); o++) {
            float value = (float) (sums[token * TILE + o - first] + part.bias(o));
            kv.set(JAVA_FLOAT_UNALIGNED, at + 4L * o, value);
          }
        }
      }
      column += part.outputs();
    }
  }

  /** Returns the sums of 32 outputs, [tokens, 32]. */
  private static double[] tileRow(Linear part, int first, double[] x, int tokens, int padded) {
    double[] sums = new double[tokens * TILE];
    double[] tile = new double[TILE * TILE];
    int tiles = Linear.tiles(part.inputs());
    MemorySegment scales = part.scale();
    for (int t = 0; t < tiles; t++) {
      decode(part, first, t * TILE, tile);
      double scale = scale(scales, first / TILE * part.scaleStride() + t);
      for (int token = 0; token < tokens; token++) {
        multiply(tile, scale, x, token * padded + t * TILE, sums, token * TILE);
      }
    }
    return sums;
  }

  private static float scale(@Nullable MemorySegment scales, long tile) {
    return scales == null ? 1 : E8m0.toFloat(scales.get(JAVA_BYTE, tile));
  }

  /** Four outputs at a time: independent sums hide the latency of the additions. */
  private static void multiply(
      double[] tile, double scale, double[] x, int at, double[] sums, int sumsAt) {
    for (int o = 0; o < TILE; o += 4) {
      int row = o * TILE;
      double sum0 = 0;
      double sum1 = 0;
      double sum2 = 0;
      double sum3 = 0;
      for (int k = 0; k < TILE; k++) {
        double value = x[at + k];
        sum0 += tile[row + k] * value;
        sum1 += tile[row + TILE + k] * value;
        sum2 += tile[row + 2 * TILE + k] * value;
        sum3 += tile[row + 3 * TILE + k] * value;
      }
      sums[sumsAt + o] += scale * sum0;
      sums[sumsAt + o + 1] += scale * sum1;
      sums[sumsAt + o + 2] += scale * sum2;
      sums[sumsAt + o + 3] += scale * sum3;
    }
  }

  /** Widens a tile of weights to [output, input], zeros where it hangs over the edge. */
  private static void decode(Linear part, int firstOutput, int firstInput, double[] tile) {
    int outputs = Math.min(TILE, part.outputs() - firstOutput);
    int inputs = Math.min(TILE, part.inputs() - firstInput);
    if (outputs < TILE || inputs < TILE) {
      Arrays.fill(tile, 0);
    }
    JavaRows.Weights decoder = JavaRows.weights(part.type());
    for (int o = 0; o < outputs; o++) {
      long row = (firstOutput + o) * part.weightStride();
      decoder.decode(part.weight(), row, firstInput, inputs, tile, o * TILE);
    }
  }
}
