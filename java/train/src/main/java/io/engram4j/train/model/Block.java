package io.engram4j.train.model;

/** What reads a stream of [tokens, width] and adds to it. Keeps what its way back needs. */
interface Block {
  /**
   * Computes y = f(x).
   *
   * @param x [tokens, width]
   * @param y [tokens, width], written
   */
  void forward(float[] x, float[] y, Batch batch);

  /**
   * Takes the gradient back, of the last {@link #forward}.
   *
   * @param dy [tokens, width]
   * @param dx [tokens, width], added to; may be {@code dy} itself
   * @param gradients of all parameters, added to
   */
  void backward(float[] dy, float[] dx, Batch batch, float[] gradients);
}
