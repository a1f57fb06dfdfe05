package io.engram4j.kernel.java;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;

import io.engram4j.model.HiddenStream;
import io.engram4j.weights.ConvWeights;
import java.lang.foreign.MemorySegment;

/** The short convolution in plain Java (docs/spec.md, section 7.1). */
public final class JavaConv {
  private JavaConv() {}

  /**
   * Convolves the gated values of consecutive tokens of one sequence and adds the result to the
   * stream.
   *
   * @param gated float32 [tokens, channels]; then what was added to the stream
   * @param window float32 [rows, channels]: the {@code reach} rows before {@code first} are the
   *     normalised values of the tokens before, zeros before the first; the others are written
   * @param mask int8 [tokens]; where 0 the stream keeps its bits
   */
  public static void conv(
      ConvWeights weights,
      MemorySegment gated,
      MemorySegment window,
      int first,
      MemorySegment mask,
      long tokens,
      HiddenStream hidden) {
    int channels = weights.channels();
    for (long token = 0; token < tokens; token++) {
      long row = first + token;
      normalise(weights, gated, token, window, row);
      if (mask.get(JAVA_BYTE, token) == 0) {
        gated.asSlice(4L * token * channels, 4L * channels).fill((byte) 0);
        continue;
      }
      for (int branch = 0; branch < weights.branches(); branch++) {
        long at = hidden.at(token, branch);
        for (int i = 0; i < weights.hiddenSize(); i++) {
          int channel = branch * weights.hiddenSize() + i;
          float silu = silu(weights, window, row, channel);
          float delta = get(gated, token * channels + channel) + silu;
          set(gated, token * channels + channel, delta);
          hidden.set(at, i, hidden.get(at, i) + delta);
        }
      }
    }
  }

  private static float silu(ConvWeights weights, MemorySegment window, long row, int channel) {
    float sum = 0;
    for (int tap = 0; tap < weights.kernel(); tap++) {
      long from = row - weights.reach() + (long) tap * weights.dilation();
      sum += weights.tap(channel, tap) * get(window, from * weights.channels() + channel);
    }
    return (float) (sum / (1 + Math.exp(-sum)));
  }

  private static void normalise(
      ConvWeights weights, MemorySegment gated, long token, MemorySegment window, long row) {
    int size = weights.hiddenSize();
    for (int branch = 0; branch < weights.branches(); branch++) {
      long from = token * weights.channels() + (long) branch * size;
      long to = row * weights.channels() + (long) branch * size;
      double squares = 0;
      for (int i = 0; i < size; i++) {
        double x = get(gated, from + i);
        squares += x * x;
      }
      double scale = 1 / Math.sqrt(squares / size + weights.eps());
      for (int i = 0; i < size; i++) {
        double normalised = get(gated, from + i) * scale;
        set(window, to + i, (float) (normalised * weights.norm(branch * size + i)));
      }
    }
  }

  private static float get(MemorySegment segment, long index) {
    return segment.getAtIndex(JAVA_FLOAT_UNALIGNED, index);
  }

  private static void set(MemorySegment segment, long index, float value) {
    segment.setAtIndex(JAVA_FLOAT_UNALIGNED, index, value);
  }
}
