package io.engram4j.train.model;

import io.engram4j.train.kernel.Gemm;
import io.engram4j.train.kernel.RmsNorm;
import org.jspecify.annotations.Nullable;

/** SwiGLU; with experts, the sum of one that all tokens share and one that each token chooses. */
final class FeedForward implements Block {
  /** Where a layer's tensors begin: gate above up in one, then down; -1 for no experts. */
  record At(int norm, int gateUp, int down, int router, int expertGateUp, int expertDown) {}

  private final DecoderShape shape;
  private final float[] parameters;
  private final At at;
  private final SwiGluLayer shared;
  private final @Nullable Experts experts;
  private final float[] input;
  private final float[] scales;
  private final float[] normed;
  private final Scratch scratch;

  FeedForward(DecoderShape shape, float[] parameters, At at, Gemm gemm, Scratch scratch) {
    this.shape = shape;
    this.parameters = parameters;
    this.at = at;
    this.scratch = scratch;
    int tokens = scratch.tokens();
    this.shared =
        new SwiGluLayer(
            shape.width(), shape.inner(), parameters, at.gateUp(), at.down(), gemm, tokens);
    this.experts = shape.experts() == 0 ? null : new Experts(shape, parameters, at, gemm, scratch);
    this.input = new float[tokens * shape.width()];
    this.scales = new float[tokens];
    this.normed = new float[tokens * shape.width()];
  }

  @Override
  public void forward(float[] x, float[] y, Batch batch) {
    int tokens = batch.tokens();
    int width = shape.width();
    System.arraycopy(x, 0, input, 0, tokens * width);
    RmsNorm.forward(input, parameters, at.norm(), tokens, width, scales, normed);
    shared.forward(normed, tokens, y);
    if (experts != null) {
      experts.forward(normed, tokens, y);
    }
  }

  @Override
  public void backward(float[] dy, float[] dx, Batch batch, float[] gradients) {
    int tokens = batch.tokens();
    float[] dnormed = scratch.narrow();
    shared.backward(dy, normed, tokens, scratch.wide(), dnormed, gradients);
    if (experts != null) {
      experts.backward(dy, normed, tokens, dnormed, gradients);
    }
    RmsNorm.backward(
        input, parameters, at.norm(), tokens, shape.width(), scales, dnormed, dx, gradients);
  }
}
