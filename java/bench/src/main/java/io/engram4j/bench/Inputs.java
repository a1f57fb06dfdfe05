package io.engram4j.bench;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.SplittableRandom;

/** Random inputs of benchmarks, the same every time. */
final class Inputs {
  private Inputs() {}

  static float[] gaussians(int count) {
    SplittableRandom random = new SplittableRandom(1);
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return values;
  }

  static MemorySegment floats(int count) {
    MemorySegment segment = Arena.global().allocate(4L * count, 64);
    MemorySegment.copy(gaussians(count), 0, segment, ValueLayout.JAVA_FLOAT, 0, count);
    return segment;
  }
}
