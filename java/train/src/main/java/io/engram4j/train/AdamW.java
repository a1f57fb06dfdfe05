package io.engram4j.train;

import io.engram4j.train.model.Parameters;

/** AdamW over all dense parameters. */
final class AdamW {
  private static final float EPS = 1e-8f;

  private final Parameters parameters;
  private final TrainOptions options;
  private final float[] first;
  private final float[] second;

  AdamW(Parameters parameters, TrainOptions options) {
    this.parameters = parameters;
    this.options = options;
    this.first = new float[parameters.size()];
    this.second = new float[parameters.size()];
  }

  float[] first() {
    return first;
  }

  float[] second() {
    return second;
  }

  /**
   * Changes the parameters.
   *
   * @param factor by which gradients are multiplied
   * @param step from 0
   */
  void step(float[] gradients, float factor, float rate, long step) {
    double corrected = rate / (1 - StrictMath.pow(options.first(), step + 1.0));
    float correction = (float) (1 / Math.sqrt(1 - StrictMath.pow(options.second(), step + 1.0)));
    for (Parameters.Tensor tensor : parameters.tensors()) {
      float keep = tensor.decays() ? 1 - rate * options.decay() : 1;
      update(
          gradients,
          tensor.at(),
          tensor.at() + tensor.size(),
          factor,
          keep,
          (float) corrected,
          correction);
    }
  }

  private void update(
      float[] gradients, int from, int to, float factor, float keep, float rate, float correction) {
    float[] values = parameters.values();
    float b1 = options.first();
    float b2 = options.second();
    for (int i = from; i < to; i++) {
      float g = gradients[i] * factor;
      float m = b1 * first[i] + (1 - b1) * g;
      float v = b2 * second[i] + (1 - b2) * g * g;
      first[i] = m;
      second[i] = v;
      values[i] = values[i] * keep - rate * m / ((float) Math.sqrt(v) * correction + EPS);
    }
  }
}
