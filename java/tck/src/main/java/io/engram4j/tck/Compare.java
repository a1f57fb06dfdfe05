package io.engram4j.tck;

import io.engram4j.format.Bfloat16;

/** The comparisons of the golden files, and their bounds. */
final class Compare {
  /** Bound of key and value, stream and delta in float32. */
  static final double NORM_BOUND = 2e-6;

  /** Bound of a gate. */
  static final double GATE_BOUND = 5e-5;

  /** Two steps of float32, relative. */
  private static final double FLOAT_STEPS = 2 * 0x1p-23;

  private Compare() {}

  static TensorResult exact(String tensor, long[] actual, long[] expected) {
    long differing = Math.abs(actual.length - expected.length);
    for (int i = 0; i < Math.min(actual.length, expected.length); i++) {
      differing += actual[i] == expected[i] ? 0 : 1;
    }
    return new TensorResult(tensor, expected.length, "exact", differing, 0);
  }

  /** Floats that must have equal bits, all NaNs being one. */
  static TensorResult exact(String tensor, float[] actual, float[] expected) {
    long[] actualBits = new long[actual.length];
    long[] expectedBits = new long[expected.length];
    for (int i = 0; i < actual.length; i++) {
      actualBits[i] = Float.floatToIntBits(actual[i]);
    }
    for (int i = 0; i < expected.length; i++) {
      expectedBits[i] = Float.floatToIntBits(expected[i]);
    }
    return exact(tensor, actualBits, expectedBits);
  }

  static TensorResult norm(String tensor, float[] actual, double[] expected) {
    return norm(tensor, actual, expected, 0);
  }

  /**
   * As above, against the size of what was added up where that is larger: a few sums can cancel,
   * and what float32 then leaves of them says nothing.
   */
  static TensorResult norm(String tensor, float[] actual, double[] expected, double size) {
    double squares = size * size;
    double differences = 0;
    for (int i = 0; i < expected.length; i++) {
      if (!Double.isFinite(expected[i])) {
        // no part of the norms, in which one infinity would hide every other error
        if (Double.compare(actual[i], expected[i]) != 0) {
          return new TensorResult(
              tensor, expected.length, "norm", Double.POSITIVE_INFINITY, NORM_BOUND);
        }
        continue;
      }
      double difference = actual[i] - expected[i];
      differences += difference * difference;
      squares += expected[i] * expected[i];
    }
    double error = differences == 0 ? 0 : Math.sqrt(differences / squares);
    return new TensorResult(tensor, expected.length, "norm", error, NORM_BOUND);
  }

  static TensorResult absolute(String tensor, float[] actual, double[] expected) {
    double largest = 0;
    for (int i = 0; i < expected.length; i++) {
      boolean bothNan = Float.isNaN(actual[i]) && Double.isNaN(expected[i]);
      largest = bothNan ? largest : Math.max(largest, Math.abs(actual[i] - expected[i]));
    }
    return new TensorResult(tensor, expected.length, "abs", largest, GATE_BOUND);
  }

  static TensorResult ulps(String tensor, float[] actual, float[] expected) {
    int largest = 0;
    for (int i = 0; i < expected.length; i++) {
      short a = Bfloat16.fromFloat(actual[i]);
      largest = Math.max(largest, Bfloat16.ulps(a, Bfloat16.fromFloat(expected[i])));
    }
    return new TensorResult(tensor, expected.length, "ulp", largest, 1);
  }

  /**
   * As above, but a difference that is nothing in float32 beside what was added to counts as none:
   * a stream of -0.123 and a value of 0.122999 leave 1e-6, whose steps in bf16 are finer than those
   * of the two in float32.
   */
  static TensorResult ulps(String tensor, float[] actual, float[] expected, float[] before) {
    float[] kept = actual.clone();
    for (int i = 0; i < kept.length; i++) {
      double least = FLOAT_STEPS * Math.abs(before[i]);
      if (Math.abs((double) actual[i] - expected[i]) <= least) {
        kept[i] = expected[i];
      }
    }
    return ulps(tensor, kept, expected);
  }

  static double[] widen(float[] values) {
    double[] wide = new double[values.length];
    for (int i = 0; i < values.length; i++) {
      wide[i] = values[i];
    }
    return wide;
  }
}
