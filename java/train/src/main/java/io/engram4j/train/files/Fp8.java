package io.engram4j.train.files;

import io.engram4j.format.E4m3;

/**
 * Numbers as e4m3 with a power of two for each block, by DeepSeek's rule: the least that brings the
 * largest of a block to 448 or below. A block of zeros has scale 1, whose byte is 127.
 */
final class Fp8 {
  private static final int BIAS = 127;
  private static final float MOST = 448;

  private Fp8() {}

  /** Returns the scale byte of numbers whose largest magnitude is given. */
  static byte scale(float most) {
    if (most == 0) {
      return BIAS;
    }
    int exponent = Math.getExponent(most / MOST);
    if (Math.scalb(MOST, exponent) < most) {
      exponent++;
    }
    return (byte) Math.clamp(exponent + BIAS, 1, 254); // 0 and 255 are read apart by engines
  }

  /** Returns the code of a number. */
  static byte code(float x, byte scale) {
    return E4m3.fromFloat(Math.scalb(x, BIAS - (scale & 0xff)));
  }

  /** Returns the largest magnitude of some numbers. */
  static float most(float[] x, int at, int count) {
    float most = 0;
    for (int i = at; i < at + count; i++) {
      most = Math.max(most, Math.abs(x[i]));
    }
    return most;
  }
}
