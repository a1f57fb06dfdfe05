package io.engram4j.vector;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.engram4j.format.Bfloat16;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

/** Every bf16, and floats of every kind, as core converts them. */
class VectorBfloat16Test {
  private static final int COUNT = 1 << 16;

  private final MemorySegment floats = Arena.ofAuto().allocate(4L * COUNT, 64);
  private final MemorySegment halves = Arena.ofAuto().allocate(2L * COUNT, 64);

  @Test
  void everyCodeIsWidened() {
    for (int code = 0; code < COUNT; code++) {
      halves.setAtIndex(ValueLayout.JAVA_SHORT, code, (short) code);
    }
    VectorBfloat16.widen(halves, 0, floats, COUNT);
    for (int code = 0; code < COUNT; code++) {
      assertEquals(code << 16, floats.getAtIndex(ValueLayout.JAVA_INT, code));
    }
  }

  /** Every upper half, with lower halves that tie, nearly tie, and are whatever they are. */
  @Test
  void everyFloatIsRounded() {
    SplittableRandom random = new SplittableRandom(1);
    for (int lower : new int[] {0, 1, 0x7fff, 0x8000, 0x8001, 0xffff, -1}) {
      for (int upper = 0; upper < COUNT; upper++) {
        int bits = upper << 16 | (lower < 0 ? random.nextInt(COUNT) : lower);
        floats.setAtIndex(ValueLayout.JAVA_INT, upper, bits);
      }
      VectorBfloat16.narrow(floats, halves, 0, COUNT);
      for (int upper = 0; upper < COUNT; upper++) {
        float x = Float.intBitsToFloat(floats.getAtIndex(ValueLayout.JAVA_INT, upper));
        short expected = Bfloat16.fromFloat(x);
        assertEquals(expected, halves.getAtIndex(ValueLayout.JAVA_SHORT, upper), "upper " + upper);
      }
    }
  }
}
