package io.engram4j.train.model;

import io.engram4j.train.kernel.Gemm;
import io.engram4j.train.kernel.Matrix;
import io.engram4j.train.kernel.RmsNorm;
import io.engram4j.train.kernel.Softmax;

/** The last norm and the head, whose weight is the embedding's; cross-entropy and its gradient. */
final class Head {
  private final DecoderShape shape;
  private final float[] parameters;
  private final int embedding;
  private final int norm;
  private final Gemm gemm;
  private final float[] mean;
  private final float[] scales;
  private final float[] normed;
  private final float[] logits;
  private final float[] dnormed;

  Head(DecoderShape shape, float[] parameters, int embedding, int norm, Gemm gemm, int tokens) {
    this.shape = shape;
    this.parameters = parameters;
    this.embedding = embedding;
    this.norm = norm;
    this.gemm = gemm;
    this.mean = new float[tokens * shape.width()];
    this.scales = new float[tokens];
    this.normed = new float[tokens * shape.width()];
    this.dnormed = new float[tokens * shape.width()];
    this.logits = new float[tokens * shape.vocabulary()];
  }

  /** Returns what {@link #forward} computed, [tokens, vocabulary]. */
  float[] logits() {
    return logits;
  }

  /** Computes logits from the mean of the streams, [tokens, streams * width]. */
  void forward(float[] x, int tokens) {
    int width = shape.width();
    int streams = shape.streams();
    float part = 1f / streams;
    for (int token = 0; token < tokens; token++) {
      for (int i = 0; i < width; i++) {
        float sum = 0;
        for (int h = 0; h < streams; h++) {
          sum += x[(token * streams + h) * width + i];
        }
        mean[token * width + i] = sum * part;
      }
    }
    RmsNorm.forward(mean, parameters, norm, tokens, width, scales, normed);
    gemm.multiply(
        Matrix.of(normed, 0, tokens, width),
        Matrix.of(parameters, embedding, shape.vocabulary(), width).transposed(),
        Matrix.of(logits, 0, tokens, shape.vocabulary()),
        false);
  }

  /**
   * Makes the logits probabilities.
   *
   * @param losses [tokens], written: in nats, 0 where there is no target
   * @return the sum of the losses
   */
  double loss(Batch batch, double[] losses) {
    int size = shape.vocabulary();
    double sum = 0;
    for (int token = 0; token < batch.tokens(); token++) {
      int target = batch.targets()[token];
      losses[token] = 0;
      if (target >= 0) {
        float logit = logits[token * size + target];
        losses[token] = Softmax.run(logits, token * size, size) - logit;
        sum += losses[token];
      }
    }
    return sum;
  }

  /**
   * Takes the gradient back, after {@link #loss}.
   *
   * @param scale of each target's loss
   * @param dx [tokens, streams * width], written
   */
  void backward(Batch batch, float scale, float[] dx, float[] gradients) {
    int size = shape.vocabulary();
    int width = shape.width();
    int streams = shape.streams();
    int tokens = batch.tokens();
    for (int token = 0; token < tokens; token++) {
      int target = batch.targets()[token];
      float factor = target >= 0 ? scale : 0;
      for (int i = token * size; i < (token + 1) * size; i++) {
        logits[i] *= factor;
      }
      if (target >= 0) {
        logits[token * size + target] -= scale;
      } else { // logits, not probabilities: infinity times 0 would be none
        java.util.Arrays.fill(logits, token * size, (token + 1) * size, 0f);
      }
    }
    Matrix dlogits = Matrix.of(logits, 0, tokens, size);
    gemm.multiply(
        dlogits,
        Matrix.of(parameters, embedding, size, width),
        Matrix.of(dnormed, 0, tokens, width),
        false);
    gemm.multiply(
        dlogits.transposed(),
        Matrix.of(normed, 0, tokens, width),
        Matrix.of(gradients, embedding, size, width),
        true);
    float[] dmean = normed; // no longer needed
    java.util.Arrays.fill(dmean, 0, tokens * width, 0f);
    RmsNorm.backward(mean, parameters, norm, tokens, width, scales, dnormed, dmean, gradients);
    float part = 1f / streams;
    for (int token = 0; token < tokens; token++) {
      for (int h = 0; h < streams; h++) {
        for (int i = 0; i < width; i++) {
          dx[(token * streams + h) * width + i] = part * dmean[token * width + i];
        }
      }
    }
  }
}
