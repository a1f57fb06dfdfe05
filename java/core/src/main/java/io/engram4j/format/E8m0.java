package io.engram4j.format;

/**
 * The scale format e8m0 (docs/spec.md, section 6): the byte b stands for 2^(b-127). As in the
 * reference, 0 is the subnormal 2^-127 and 255 is NaN; other engines read those two differently.
 */
public final class E8m0 {
  private E8m0() {}

  /** Returns the scale of a code, of which the low eight bits count. */
  public static float toFloat(int code) {
    int b = code & 0xff;
    if (b == 0) {
      return 0x1p-127f;
    }
    return b == 255 ? Float.NaN : Float.intBitsToFloat(b << 23);
  }
}
