package io.engram4j.train.kernel;

/** RMSNorm with a weight per element, forward and back; sums in double. */
public final class RmsNorm {
  private static final double EPS = 1e-5;

  private RmsNorm() {}

  /**
   * Norms rows.
   *
   * @param x [rows, size]
   * @param at where the weight, [size], begins in {@code parameters}
   * @param scales [rows], written, for {@link #backward}
   * @param y [rows, size], written
   */
  public static void forward(
      float[] x, float[] parameters, int at, int rows, int size, float[] scales, float[] y) {
    for (int row = 0; row < rows; row++) {
      int from = row * size;
      double even = 0; // two sums, for one waits four cycles for each addition
      double odd = 0;
      int i = 0;
      for (; i + 1 < size; i += 2) {
        even += (double) x[from + i] * x[from + i];
        odd += (double) x[from + i + 1] * x[from + i + 1];
      }
      if (i < size) {
        even += (double) x[from + i] * x[from + i];
      }
      float scale = (float) (1 / Math.sqrt((even + odd) / size + EPS));
      scales[row] = scale;
      for (i = 0; i < size; i++) {
        y[from + i] = x[from + i] * scale * parameters[at + i];
      }
    }
  }

  /**
   * Takes the gradient back.
   *
   * @param dy [rows, size]
   * @param dx [rows, size], added to
   * @param gradients [size] from {@code at}, added to
   */
  public static void backward(
      float[] x,
      float[] parameters,
      int at,
      int rows,
      int size,
      float[] scales,
      float[] dy,
      float[] dx,
      float[] gradients) {
    for (int row = 0; row < rows; row++) {
      int from = row * size;
      float scale = scales[row];
      double dot = 0;
      for (int i = 0; i < size; i++) {
        dot += (double) (dy[from + i] * parameters[at + i]) * x[from + i];
      }
      float toward = (float) (dot * scale * scale * scale / size);
      for (int i = 0; i < size; i++) {
        dx[from + i] += dy[from + i] * parameters[at + i] * scale - toward * x[from + i];
        gradients[at + i] += dy[from + i] * x[from + i] * scale;
      }
    }
  }
}
