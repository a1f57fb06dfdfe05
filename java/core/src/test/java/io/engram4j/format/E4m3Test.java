package io.engram4j.format;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class E4m3Test {
  @Test
  void codesComeBack() {
    for (int code = 0; code < 256; code++) {
      float value = E4m3.toFloat(code);
      int expected = Float.isNaN(value) ? 0x7f : code;
      assertEquals(expected, E4m3.fromFloat(value) & 0xff);
    }
  }

  /** Nearest, and of two as near the even one. */
  @Test
  void numbersBecomeTheNearestCode() {
    SplittableRandom random = new SplittableRandom(1);
    for (int i = 0; i < 200_000; i++) {
      float x =
          i % 2 == 0
              ? (float) (random.nextGaussian() * Math.scalb(1.0, random.nextInt(22) - 12))
              : (E4m3.toFloat(random.nextInt(0x7e)) + E4m3.toFloat(random.nextInt(0x7e))) / 2;
      int code = E4m3.fromFloat(x) & 0xff;
      float error = Math.abs(E4m3.toFloat(code) - Math.clamp(x, -448, 448));
      for (int other : new int[] {code - 1, code + 1}) {
        if ((other & 0x7f) < 0x7f && other >= 0 && (other & 0x80) == (code & 0x80)) {
          float theirs = Math.abs(E4m3.toFloat(other) - Math.clamp(x, -448, 448));
          assertTrue(error < theirs || (error == theirs && (code & 1) == 0), x + " as " + code);
        }
      }
    }
    assertEquals(0x7e, E4m3.fromFloat(Float.POSITIVE_INFINITY));
    assertEquals((byte) 0xfe, E4m3.fromFloat(-1e30f));
    assertEquals((byte) 0x80, E4m3.fromFloat(-0f));
    assertEquals(0, E4m3.fromFloat(0x1p-11f));
  }
}
