package io.engram4j.train.table;

/**
 * How a row's gradient changes it. Only rows that a step touched change, none decays, and what is
 * kept of a row lies beside it. Immutable and thread-safe.
 */
public sealed interface RowOptimizer {
  /** Returns how many floats are kept for a row of {@code width} elements. */
  int stateFloats(int width);

  /**
   * Changes a row.
   *
   * @param row its elements from {@code at} on, then its state; both written
   * @param gradient from {@code from} on
   * @param factor by which the gradient is multiplied first
   */
  void update(float[] row, int at, int width, float[] gradient, int from, float factor, float rate);

  /** Returns the name and the numbers, by which a checkpoint knows it. */
  String describe();

  /**
   * RMSprop with one number a row, the running mean of the gradient's mean square. It begins at
   * zero and is not corrected: the first steps of a row are larger, which rows that are seen a few
   * times need. Beginning it as the first gradient's square learned less, at ten and at a hundred
   * times the rate of the other parameters.
   *
   * @param decay of the mean
   * @param eps added to the root
   */
  record RmsProp(float decay, float eps) implements RowOptimizer {
    /** The default: it learned more than lazy Adam on a small model, with a 64th of its state. */
    public static final RmsProp DEFAULT = new RmsProp(0.95f, 1e-8f);

    @Override
    public int stateFloats(int width) {
      return 1;
    }

    @Override
    public void update(
        float[] row, int at, int width, float[] gradient, int from, float factor, float rate) {
      float square = (float) (squares(gradient, from, width) * factor * factor / width);
      float mean = decay * row[at + width] + (1 - decay) * square;
      row[at + width] = mean;
      float step = (float) (rate * factor / (Math.sqrt(mean) + eps));
      for (int i = 0; i < width; i++) {
        row[at + i] -= step * gradient[from + i];
      }
    }

    @Override
    public String describe() {
      return "rmsprop " + decay + " " + eps;
    }
  }

  /**
   * Adagrad with one number a row, the sum of the gradients' mean squares.
   *
   * @param eps added to the root
   */
  record Adagrad(float eps) implements RowOptimizer {
    public static final Adagrad DEFAULT = new Adagrad(1e-8f);

    @Override
    public int stateFloats(int width) {
      return 1;
    }

    @Override
    public void update(
        float[] row, int at, int width, float[] gradient, int from, float factor, float rate) {
      float sum =
          row[at + width] + (float) (squares(gradient, from, width) * factor * factor / width);
      row[at + width] = sum;
      float step = (float) (rate * factor / (Math.sqrt(sum) + eps));
      for (int i = 0; i < width; i++) {
        row[at + i] -= step * gradient[from + i];
      }
    }

    @Override
    public String describe() {
      return "adagrad " + eps;
    }
  }

  /**
   * Adam whose moments stand still while a row is not touched; the bias of a row's moments is
   * corrected by how often it was.
   *
   * @param first decay of the first moment
   * @param second decay of the second moment
   * @param eps added to the root
   */
  record LazyAdam(float first, float second, float eps) implements RowOptimizer {
    public static final LazyAdam DEFAULT = new LazyAdam(0.9f, 0.95f, 1e-8f);

    @Override
    public int stateFloats(int width) {
      return 2 * width + 1;
    }

    @Override
    public void update(
        float[] row, int at, int width, float[] gradient, int from, float factor, float rate) {
      int m = at + width;
      int v = m + width;
      int count = v + width;
      row[count]++; // exact to 2^24 steps, and then it no longer matters
      float step = (float) (rate / (1 - StrictMath.pow(first, row[count])));
      float correction = (float) (1 / Math.sqrt(1 - StrictMath.pow(second, row[count])));
      for (int i = 0; i < width; i++) {
        float g = gradient[from + i] * factor;
        row[m + i] = first * row[m + i] + (1 - first) * g;
        row[v + i] = second * row[v + i] + (1 - second) * g * g;
        row[at + i] -= step * row[m + i] / ((float) Math.sqrt(row[v + i]) * correction + eps);
      }
    }

    @Override
    public String describe() {
      return "lazy adam " + first + " " + second + " " + eps;
    }
  }

  private static double squares(float[] gradient, int from, int width) {
    double sum = 0;
    for (int i = from; i < from + width; i++) {
      sum += (double) gradient[i] * gradient[i];
    }
    return sum;
  }
}
