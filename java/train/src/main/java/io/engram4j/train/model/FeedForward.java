package io.engram4j.train.model;

import io.engram4j.train.kernel.Gemm;
import io.engram4j.train.kernel.Matrix;
import io.engram4j.train.kernel.RmsNorm;
import io.engram4j.train.kernel.SwiGlu;

/** SwiGLU. */
final class FeedForward implements Block {
  /** Where a layer's tensors begin: gate above up in one, then down. */
  record At(int norm, int gateUp, int down) {}

  private final DecoderShape shape;
  private final float[] parameters;
  private final At at;
  private final Gemm gemm;
  private final float[] input;
  private final float[] scales;
  private final float[] normed;
  private final float[] gateUp;
  private final float[] sigmoid;
  private final float[] inner;
  private final Scratch scratch;

  FeedForward(DecoderShape shape, float[] parameters, At at, Gemm gemm, Scratch scratch) {
    this.shape = shape;
    this.parameters = parameters;
    this.at = at;
    this.gemm = gemm;
    this.scratch = scratch;
    int tokens = scratch.tokens();
    this.input = new float[tokens * shape.width()];
    this.scales = new float[tokens];
    this.normed = new float[tokens * shape.width()];
    this.gateUp = new float[tokens * 2 * shape.inner()];
    this.sigmoid = new float[tokens * shape.inner()];
    this.inner = new float[tokens * shape.inner()];
  }

  @Override
  public void forward(float[] x, float[] y, Batch batch) {
    int tokens = batch.tokens();
    int width = shape.width();
    int size = shape.inner();
    System.arraycopy(x, 0, input, 0, tokens * width);
    RmsNorm.forward(input, parameters, at.norm(), tokens, width, scales, normed);
    gemm.multiply(
        Matrix.of(normed, 0, tokens, width),
        Matrix.of(parameters, at.gateUp(), 2 * size, width).transposed(),
        Matrix.of(gateUp, 0, tokens, 2 * size),
        false);
    SwiGlu.forward(gateUp, tokens, size, sigmoid, inner);
    gemm.multiply(
        Matrix.of(inner, 0, tokens, size),
        Matrix.of(parameters, at.down(), width, size).transposed(),
        Matrix.of(y, 0, tokens, width),
        false);
  }

  @Override
  public void backward(float[] dy, float[] dx, Batch batch, float[] gradients) {
    int tokens = batch.tokens();
    int width = shape.width();
    int size = shape.inner();
    float[] dgateUp = scratch.wide();
    float[] dnormed = scratch.narrow();
    Matrix back = Matrix.of(dy, 0, tokens, width);
    gemm.multiply(
        back.transposed(),
        Matrix.of(inner, 0, tokens, size),
        Matrix.of(gradients, at.down(), width, size),
        true);
    // of what SwiGLU gave, in the place of what it gave
    gemm.multiply(
        back,
        Matrix.of(parameters, at.down(), width, size),
        Matrix.of(inner, 0, tokens, size),
        false);
    SwiGlu.backward(gateUp, tokens, size, sigmoid, inner, dgateUp);
    Matrix wide = Matrix.of(dgateUp, 0, tokens, 2 * size);
    gemm.multiply(
        wide,
        Matrix.of(parameters, at.gateUp(), 2 * size, width),
        Matrix.of(dnormed, 0, tokens, width),
        false);
    gemm.multiply(
        wide.transposed(),
        Matrix.of(normed, 0, tokens, width),
        Matrix.of(gradients, at.gateUp(), 2 * size, width),
        true);
    RmsNorm.backward(input, parameters, at.norm(), tokens, width, scales, dnormed, dx, gradients);
  }
}
