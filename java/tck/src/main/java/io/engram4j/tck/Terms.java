package io.engram4j.tck;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_SHORT_UNALIGNED;

import io.engram4j.format.Bfloat16;
import io.engram4j.format.E4m3;
import io.engram4j.format.E8m0;
import io.engram4j.weights.Linear;
import java.lang.foreign.MemorySegment;

/** How large the terms of a sum are, against which its error is held. */
final class Terms {
  private Terms() {}

  /** Returns the sum of the squares of all products that a projection adds up. */
  static double squares(Linear part, float[] rows, int tokens) {
    double sum = 0;
    for (int output = 0; output < part.outputs(); output++) {
      for (int k = 0; k < part.inputs(); k++) {
        long at = output * part.weightStride() + (long) k * part.dtype().bytes();
        double weight =
            switch (part.dtype()) {
              case F8_E4M3 -> E4m3.toFloat(part.weight().get(JAVA_BYTE, at));
              case BF16 -> Bfloat16.toFloat(part.weight().get(JAVA_SHORT_UNALIGNED, at));
              default -> part.weight().get(JAVA_FLOAT_UNALIGNED, at);
            };
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
