package io.engram4j.format;

/** Conversions between float and bf16, the upper 16 bits of a float. */
public final class Bfloat16 {
  private Bfloat16() {}

  /** Returns the float that the bf16 with these bits stands for, exactly. */
  public static float toFloat(short bits) {
    return Float.intBitsToFloat(bits << 16);
  }

  /** Returns the bits of the bf16 nearest to {@code x}, ties to even; a NaN stays a (quiet) NaN. */
  public static short fromFloat(float x) {
    int bits = Float.floatToRawIntBits(x);
    if ((bits & 0x7fffffff) > 0x7f800000) {
      return (short) (bits >>> 16 | 0x40); // rounding could carry a NaN's fraction into infinity
    }
    return (short) ((bits + 0x7fff + (bits >>> 16 & 1)) >>> 16);
  }

  /** Returns the bf16 nearest to {@code x} as a float, ties to even. */
  public static float round(float x) {
    return toFloat(fromFloat(x));
  }

  /**
   * Returns how many representable bf16 values lie between two, 0 for equal ones (and for -0 and
   * +0), {@link Integer#MAX_VALUE} if exactly one is NaN.
   */
  public static int ulps(short a, short b) {
    boolean nanA = Float.isNaN(toFloat(a));
    boolean nanB = Float.isNaN(toFloat(b));
    if (nanA || nanB) {
      return nanA && nanB ? 0 : Integer.MAX_VALUE;
    }
    return Math.abs(ordinal(a) - ordinal(b));
  }

  private static int ordinal(short bits) {
    int magnitude = bits & 0x7fff;
    return bits < 0 ? -magnitude : magnitude;
  }
}
