package io.engram4j.train.kernel;

/**
 * The projection of a token's rows to keys and value, forward and back (docs/spec.md, section 7):
 * kv = W rows (+ bias). Immutable and thread-safe.
 *
 * @param outputs a key per branch and the value together
 * @param inputs elements of a token's rows together
 */
public record ProjectStage(int outputs, int inputs) {
  /**
   * Projects.
   *
   * @param weightAt where [outputs, inputs] begin in {@code parameters}
   * @param biasAt where [outputs] begin, or -1 without
   * @param rows [tokens, inputs]
   * @param kv [tokens, outputs], written
   */
  public void forward(
      Gemm gemm,
      float[] parameters,
      int weightAt,
      int biasAt,
      float[] rows,
      int tokens,
      float[] kv) {
    for (int token = 0; biasAt >= 0 && token < tokens; token++) {
      System.arraycopy(parameters, biasAt, kv, token * outputs, outputs);
    }
    gemm.multiply(
        Matrix.of(rows, 0, tokens, inputs),
        Matrix.of(parameters, weightAt, outputs, inputs).transposed(),
        Matrix.of(kv, 0, tokens, outputs),
        biasAt >= 0);
  }

  /**
   * Takes the gradient back to weight, bias and rows.
   *
   * @param dkv [tokens, outputs]
   * @param drows [tokens, inputs], written
   * @param gradients of the parameters, at the same places, added to
   */
  public void backward(
      Gemm gemm,
      float[] parameters,
      int weightAt,
      int biasAt,
      float[] rows,
      int tokens,
      float[] dkv,
      float[] drows,
      float[] gradients) {
    Matrix back = Matrix.of(dkv, 0, tokens, outputs);
    gemm.multiply(
        back,
        Matrix.of(parameters, weightAt, outputs, inputs),
        Matrix.of(drows, 0, tokens, inputs),
        false);
    gemm.multiply(
        back.transposed(),
        Matrix.of(rows, 0, tokens, inputs),
        Matrix.of(gradients, weightAt, outputs, inputs),
        true);
    for (int token = 0; biasAt >= 0 && token < tokens; token++) {
      for (int i = 0; i < outputs; i++) {
        gradients[biasAt + i] += dkv[token * outputs + i];
      }
    }
  }
}
