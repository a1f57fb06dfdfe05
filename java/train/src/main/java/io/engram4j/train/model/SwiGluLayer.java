package io.engram4j.train.model;

import io.engram4j.train.kernel.Gemm;
import io.engram4j.train.kernel.Matrix;
import io.engram4j.train.kernel.SwiGlu;

/** down(silu(gate x) * up x) on rows that are normed already; keeps what its way back needs. */
final class SwiGluLayer {
  private final int width;
  private final int size;
  private final float[] parameters;
  private final int gateUpAt;
  private final int downAt;
  private final Gemm gemm;
  private final float[] gateUp;
  private final float[] sigmoid;
  private final float[] inner;

  /**
   * A layer.
   *
   * @param gateUpAt where [2 * size, width] begins: gate above up
   * @param downAt where [width, size] begins
   */
  SwiGluLayer(
      int width, int size, float[] parameters, int gateUpAt, int downAt, Gemm gemm, int tokens) {
    this.width = width;
    this.size = size;
    this.parameters = parameters;
    this.gateUpAt = gateUpAt;
    this.downAt = downAt;
    this.gemm = gemm;
    this.gateUp = new float[tokens * 2 * size];
    this.sigmoid = new float[tokens * size];
    this.inner = new float[tokens * size];
  }

  /** Computes y from x, both [rows, width]. */
  void forward(float[] x, int rows, float[] y) {
    gemm.multiply(
        Matrix.of(x, 0, rows, width),
        Matrix.of(parameters, gateUpAt, 2 * size, width).transposed(),
        Matrix.of(gateUp, 0, rows, 2 * size),
        false);
    SwiGlu.forward(gateUp, rows, size, sigmoid, inner);
    gemm.multiply(
        Matrix.of(inner, 0, rows, size),
        Matrix.of(parameters, downAt, width, size).transposed(),
        Matrix.of(y, 0, rows, width),
        false);
  }

  /**
   * Takes the gradient back, of the last {@link #forward} of as many rows.
   *
   * @param x what it was given
   * @param dgateUp scratch of [rows, 2 * size]
   * @param dx [rows, width], written
   */
  void backward(float[] dy, float[] x, int rows, float[] dgateUp, float[] dx, float[] gradients) {
    Matrix back = Matrix.of(dy, 0, rows, width);
    gemm.multiply(
        back.transposed(),
        Matrix.of(inner, 0, rows, size),
        Matrix.of(gradients, downAt, width, size),
        true);
    // of what SwiGLU gave, in the place of what it gave
    gemm.multiply(
        back, Matrix.of(parameters, downAt, width, size), Matrix.of(inner, 0, rows, size), false);
    SwiGlu.backward(gateUp, rows, size, sigmoid, inner, dgateUp);
    Matrix wide = Matrix.of(dgateUp, 0, rows, 2 * size);
    gemm.multiply(
        wide,
        Matrix.of(parameters, gateUpAt, 2 * size, width),
        Matrix.of(dx, 0, rows, width),
        false);
    gemm.multiply(
        wide.transposed(),
        Matrix.of(x, 0, rows, width),
        Matrix.of(gradients, gateUpAt, 2 * size, width),
        true);
  }
}
