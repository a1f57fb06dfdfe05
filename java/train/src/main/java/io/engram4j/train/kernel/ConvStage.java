package io.engram4j.train.kernel;

import java.util.Arrays;

/**
 * The short convolution of the paper's form forward and back (docs/spec.md, section 7.1): RMSNorm
 * per branch, depthwise causal taps, SiLU. What lies before the start of a token's document is
 * zero. Immutable and thread-safe.
 *
 * @param branches of the stream
 * @param size elements of a branch
 * @param kernel taps, the last of which meets the token itself
 * @param dilation tokens between taps
 * @param eps of the norm
 */
public record ConvStage(int branches, int size, int kernel, int dilation, double eps) {
  private int channels() {
    return branches * size;
  }

  /**
   * Adds SiLU(conv(norm(gated))) to what the gate let through.
   *
   * @param tapsAt where [branches * size, kernel] begin in {@code parameters}
   * @param normAt where [branches * size] begin
   * @param gated [tokens, branches * size], from the gate
   * @param start [tokens]: the first token of each token's document
   * @param live [tokens]; where it is false nothing is added to the stream
   * @param normed [tokens, branches * size], written, for {@link #backward}
   * @param sums likewise: before SiLU
   * @param out [tokens, branches * size], written: what the stream gets
   */
  public void forward(
      float[] parameters,
      int tapsAt,
      int normAt,
      float[] gated,
      int[] start,
      boolean[] live,
      int tokens,
      float[] normed,
      float[] sums,
      float[] out) {
    int channels = channels();
    for (int unit = 0; unit < tokens * branches; unit++) {
      int at = unit * size;
      int weight = normAt + unit % branches * size;
      double scale = scale(gated, at);
      for (int i = 0; i < size; i++) {
        normed[at + i] = (float) (gated[at + i] * scale * parameters[weight + i]);
      }
    }
    for (int token = 0; token < tokens; token++) {
      int at = token * channels;
      Arrays.fill(sums, at, at + channels, 0f);
      for (int tap = 0; tap < kernel; tap++) {
        int from = token - dilation * (kernel - 1 - tap);
        if (from < start[token]) {
          continue;
        }
        for (int i = 0; i < channels; i++) {
          sums[at + i] =
              Math.fma(
                  parameters[tapsAt + i * kernel + tap], normed[from * channels + i], sums[at + i]);
        }
      }
      for (int i = at; i < at + channels; i++) {
        out[i] = live[token] ? gated[i] + silu(sums[i]) : 0;
      }
    }
  }

  private double scale(float[] gated, int at) {
    double squares = 0;
    for (int i = 0; i < size; i++) {
      squares += (double) gated[at + i] * gated[at + i];
    }
    return 1 / Math.sqrt(squares / size + eps);
  }

  private static float silu(float x) {
    return (float) (x / (1 + StrictMath.exp(-x)));
  }

  /**
   * Takes the gradient back to what the gate let through.
   *
   * @param dout [tokens, branches * size], of what the stream got; where a token is not live it
   *     does not count
   * @param scratch [tokens, branches * size]
   * @param dgated [tokens, branches * size], written
   * @param gradients of the parameters, at the same places, added to
   */
  public void backward(
      float[] parameters,
      int tapsAt,
      int normAt,
      float[] gated,
      int[] start,
      boolean[] live,
      int tokens,
      float[] normed,
      float[] sums,
      float[] dout,
      float[] scratch,
      float[] dgated,
      float[] gradients) {
    int channels = channels();
    Arrays.fill(scratch, 0, tokens * channels, 0f); // of normed
    for (int token = 0; token < tokens; token++) {
      if (!live[token]) {
        continue;
      }
      int at = token * channels;
      for (int i = 0; i < channels; i++) {
        double z = sums[at + i];
        double sigmoid = 1 / (1 + StrictMath.exp(-z));
        float dz = (float) (dout[at + i] * (sigmoid * (1 + z * (1 - sigmoid))));
        for (int tap = 0; tap < kernel; tap++) {
          int from = token - dilation * (kernel - 1 - tap);
          if (from >= start[token]) {
            int weight = tapsAt + i * kernel + tap;
            gradients[weight] += dz * normed[from * channels + i];
            scratch[from * channels + i] += dz * parameters[weight];
          }
        }
      }
    }
    for (int unit = 0; unit < tokens * branches; unit++) {
      boolean alive = live[unit / branches];
      int at = unit * size;
      int weight = normAt + unit % branches * size;
      double scale = scale(gated, at);
      double dot = 0;
      for (int i = 0; i < size; i++) {
        dot += (double) scratch[at + i] * parameters[weight + i] * gated[at + i];
      }
      double toward = dot * scale * scale * scale / size;
      for (int i = 0; i < size; i++) {
        gradients[weight + i] += (float) (scratch[at + i] * scale * gated[at + i]);
        double d = scratch[at + i] * scale * parameters[weight + i] - toward * gated[at + i];
        dgated[at + i] = (float) (alive ? d + dout[at + i] : d);
      }
    }
  }
}
