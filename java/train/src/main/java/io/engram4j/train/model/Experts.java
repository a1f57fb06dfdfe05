package io.engram4j.train.model;

import io.engram4j.train.kernel.Gemm;
import io.engram4j.train.kernel.Matrix;
import io.engram4j.train.kernel.Softmax;
import java.util.ArrayList;
import java.util.List;

/**
 * Experts of which each token takes the most probable one, times its probability. Tokens are
 * gathered expert by expert, in their order, so that sums are the same each time.
 */
final class Experts {
  private final DecoderShape shape;
  private final float[] parameters;
  private final FeedForward.At at;
  private final Gemm gemm;
  private final Scratch scratch;
  private final List<SwiGluLayer> layers = new ArrayList<>();
  private final float[] probabilities; // [tokens, experts]
  private final int[] chosen;
  private final float[][] inputs; // of each expert, [its tokens, width]
  private final float[][] outputs;
  private final float[] some; // [tokens of an expert, width]

  Experts(DecoderShape shape, float[] parameters, FeedForward.At at, Gemm gemm, Scratch scratch) {
    this.shape = shape;
    this.parameters = parameters;
    this.at = at;
    this.gemm = gemm;
    this.scratch = scratch;
    int tokens = scratch.tokens();
    int width = shape.width();
    int size = shape.expertInner();
    for (int e = 0; e < shape.experts(); e++) {
      int gateUp = at.expertGateUp() + e * 2 * size * width;
      int down = at.expertDown() + e * width * size;
      layers.add(new SwiGluLayer(width, size, parameters, gateUp, down, gemm, tokens));
    }
    this.probabilities = new float[tokens * shape.experts()];
    this.chosen = new int[tokens];
    this.inputs = new float[shape.experts()][tokens * width];
    this.outputs = new float[shape.experts()][tokens * width];
    this.some = new float[tokens * width];
  }

  /** Adds to y what the tokens' experts make of x, both [tokens, width]. */
  void forward(float[] x, int tokens, float[] y) {
    int count = shape.experts();
    int width = shape.width();
    gemm.multiply(
        Matrix.of(x, 0, tokens, width),
        Matrix.of(parameters, at.router(), count, width).transposed(),
        Matrix.of(probabilities, 0, tokens, count),
        false);
    for (int token = 0; token < tokens; token++) {
      Softmax.run(probabilities, token * count, count);
      int best = 0;
      for (int e = 1; e < count; e++) {
        if (probabilities[token * count + e] > probabilities[token * count + best]) {
          best = e;
        }
      }
      chosen[token] = best;
    }
    for (int e = 0; e < count; e++) {
      int rows = gather(e, x, tokens, inputs[e]);
      if (rows > 0) {
        layers.get(e).forward(inputs[e], rows, outputs[e]);
      }
      for (int token = 0, row = 0; token < tokens; token++) {
        if (chosen[token] == e) {
          float p = probabilities[token * count + e];
          for (int i = 0; i < width; i++) {
            y[token * width + i] += p * outputs[e][row * width + i];
          }
          row++;
        }
      }
    }
  }

  private int gather(int expert, float[] from, int tokens, float[] to) {
    int width = shape.width();
    int rows = 0;
    for (int token = 0; token < tokens; token++) {
      if (chosen[token] == expert) {
        System.arraycopy(from, token * width, to, rows++ * width, width);
      }
    }
    return rows;
  }

  /**
   * Takes the gradient back, of the last {@link #forward}.
   *
   * @param dx [tokens, width], added to
   */
  void backward(float[] dy, float[] x, int tokens, float[] dx, float[] gradients) {
    int count = shape.experts();
    int width = shape.width();
    for (int e = 0; e < count; e++) {
      int rows = gather(e, dy, tokens, some);
      if (rows == 0) {
        continue;
      }
      for (int token = 0, row = 0; token < tokens; token++) {
        if (chosen[token] == e) {
          double dp = 0;
          float p = probabilities[token * count + e];
          for (int i = row * width; i < (row + 1) * width; i++) {
            dp += (double) some[i] * outputs[e][i];
            some[i] *= p;
          }
          toLogits(token * count, e, (float) dp);
          row++;
        }
      }
      float[] dinput = outputs[e]; // no longer needed
      layers.get(e).backward(some, inputs[e], rows, scratch.wide(), dinput, gradients);
      for (int token = 0, row = 0; token < tokens; token++) {
        if (chosen[token] == e) {
          for (int i = 0; i < width; i++) {
            dx[token * width + i] += dinput[row * width + i];
          }
          row++;
        }
      }
    }
    Matrix dlogits = Matrix.of(probabilities, 0, tokens, count);
    gemm.multiply(
        dlogits,
        Matrix.of(parameters, at.router(), count, width),
        Matrix.of(dx, 0, tokens, width),
        true);
    gemm.multiply(
        dlogits.transposed(),
        Matrix.of(x, 0, tokens, width),
        Matrix.of(gradients, at.router(), count, width),
        true);
  }

  /** Makes a token's probabilities the gradient of what they were made of. */
  private void toLogits(int from, int expert, float dp) {
    float p = probabilities[from + expert];
    for (int e = 0; e < shape.experts(); e++) {
      float own = e == expert ? 1 : 0;
      probabilities[from + e] = dp * p * (own - probabilities[from + e]);
    }
  }
}
