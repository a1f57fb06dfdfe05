package io.engram4j.kernel.java;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;

import io.engram4j.weights.ConvWeights;
import java.lang.foreign.MemorySegment;

/** The short convolution in plain Java (specification, section 7.1). */
public final class JavaConv {
  private JavaConv() {}

  /**
   * Convolves the gated values of consecutive tokens of one sequence.
   *
   * @param gated float32 [tokens, channels]
   * @param window float32 [reach + tokens, channels]: the first {@code reach} rows are the
   *     normalised values of the tokens before, zeros before the first; the others are written
   * @param delta float32 [tokens, channels], written: what the layer adds to the stream, gated
   *     value plus SiLU of its convolution
   */
  public static void conv(
      ConvWeights weights,
      MemorySegment gated,
      MemorySegment window,
      long tokens,
      MemorySegment delta) {
    int channels = weights.channels();
    for (long token = 0; token < tokens; token++) {
      normalise(weights, gated, token, window);
      for (int channel = 0; channel < channels; channel++) {
        float sum = 0;
        for (int tap = 0; tap < weights.kernel(); tap++) {
          long row = token + (long) tap * weights.dilation();
          sum += weights.tap(channel, tap) * get(window, row * channels + channel);
        }
        float silu = (float) (sum / (1 + Math.exp(-sum)));
        set(delta, token * channels + channel, get(gated, token * channels + channel) + silu);
      }
    }
  }

  private static void normalise(
      ConvWeights weights, MemorySegment gated, long token, MemorySegment window) {
    int size = weights.hiddenSize();
    for (int branch = 0; branch < weights.branches(); branch++) {
      long from = token * weights.channels() + (long) branch * size;
      long to = from + (long) weights.reach() * weights.channels();
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
