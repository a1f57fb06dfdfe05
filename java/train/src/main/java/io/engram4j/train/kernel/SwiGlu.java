package io.engram4j.train.kernel;

/** silu(gate) * up, forward and back. */
public final class SwiGlu {
  private SwiGlu() {}

  /**
   * Computes it.
   *
   * @param gateUp [rows, 2 * size]: gates, then ups
   * @param sigmoid [rows, size], written, for {@link #backward}
   * @param y [rows, size], written
   */
  public static void forward(float[] gateUp, int rows, int size, float[] sigmoid, float[] y) {
    for (int row = 0; row < rows; row++) {
      int gate = row * 2 * size;
      int at = row * size;
      for (int i = 0; i < size; i++) {
        sigmoid[at + i] = -Math.abs(gateUp[gate + i]);
      }
      Lanes.BEST.exp(sigmoid, at, size, 0);
      for (int i = 0; i < size; i++) {
        float g = gateUp[gate + i];
        float e = sigmoid[at + i];
        float s = (g >= 0 ? 1 : e) / (1 + e);
        sigmoid[at + i] = s;
        y[at + i] = g * s * gateUp[gate + size + i];
      }
    }
  }

  /**
   * Takes the gradient back.
   *
   * @param dy [rows, size]
   * @param dgateUp [rows, 2 * size], written
   */
  public static void backward(
      float[] gateUp, int rows, int size, float[] sigmoid, float[] dy, float[] dgateUp) {
    for (int row = 0; row < rows; row++) {
      int gate = row * 2 * size;
      int up = gate + size;
      int at = row * size;
      for (int i = 0; i < size; i++) {
        float g = gateUp[gate + i];
        float s = sigmoid[at + i];
        float d = dy[at + i];
        dgateUp[gate + i] = d * gateUp[up + i] * (s * (1 + g * (1 - s)));
        dgateUp[up + i] = d * g * s;
      }
    }
  }
}
