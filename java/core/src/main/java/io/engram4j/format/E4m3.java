package io.engram4j.format;

/**
 * The 8-bit float e4m3fn (docs/spec.md, section 6): sign, 4 exponent bits with bias 7, 3 fraction
 * bits. No infinities; 0x7F and 0xFF are NaN; the largest value is 448.
 */
public final class E4m3 {
  private static final float[] VALUES = values();

  private E4m3() {}

  /** Returns the value of a code, of which the low eight bits count. */
  public static float toFloat(int code) {
    return VALUES[code & 0xff];
  }

  /** Returns the code nearest to {@code x}, ties to even; beyond 448 that of 448, with its sign. */
  public static byte fromFloat(float x) {
    if (Float.isNaN(x)) {
      return 0x7f;
    }
    int sign = Float.floatToRawIntBits(x) >>> 24 & 0x80;
    float magnitude = Math.min(448, Math.abs(x));
    int exponent = Math.max(-6, Math.getExponent(magnitude));
    // eighths of the power of two; sixteen of them are the next one's eight, and its code follows
    int eighths = (int) Math.rint(Math.scalb(magnitude, 3 - exponent));
    return (byte) (sign | ((exponent + 6) * 8 + eighths));
  }

  private static float[] values() {
    float[] values = new float[256];
    for (int code = 0; code < 256; code++) {
      int exponent = code >>> 3 & 0xf;
      int fraction = code & 7;
      float magnitude;
      if ((code & 0x7f) == 0x7f) {
        magnitude = Float.NaN;
      } else if (exponent == 0) {
        magnitude = Math.scalb(fraction, -9);
      } else {
        magnitude = Math.scalb(8 + fraction, exponent - 10);
      }
      values[code] = (code & 0x80) == 0 ? magnitude : -magnitude;
    }
    return values;
  }
}
