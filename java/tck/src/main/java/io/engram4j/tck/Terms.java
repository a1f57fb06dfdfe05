package io.engram4j.tck;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;

import io.engram4j.format.E8m0;
import io.engram4j.kernel.java.JavaRows;
import io.engram4j.weights.Linear;
import java.lang.foreign.MemorySegment;

/** How large the terms of a sum are, against which its error is held. */
final class Terms {
  private Terms() {}

  /** Returns the sum of the squares of all products that a projection adds up. */
  static double squares(Linear part, float[] rows, int tokens) {
    double sum = 0;
    double[] decoded = new double[1];
    for (int output = 0; output < part.outputs(); output++) {
      for (int k = 0; k < part.inputs(); k++) {
        long row = output * part.weightStride();
        JavaRows.weights(part.type()).decode(part.weight(), row, k, 1, decoded, 0);
        double weight = decoded[0];
        MemorySegment scale = part.scale();
        if (scale != null) {
          long tile = output / Linear.TILE * part.scaleStride() + k / Linear.TILE;
          weight *= E8m0.toFloat(scale.get(JAVA_BYTE, tile));
        }
        for (int token = 0; token < tokens; token++) {
          double term = weight * rows[token * part.inputs() + k];
          sum += Double.isFinite(term) ? term * term : 0; // what is not is compared exactly
        }
      }
    }
    return sum;
  }
}
