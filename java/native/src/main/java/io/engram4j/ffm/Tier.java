package io.engram4j.ffm;

import java.util.Locale;

/** The instruction-set tiers of the CPU kernels, the lowest first. */
public enum Tier {
  /** Any CPU of the architecture. */
  SCALAR(0),
  /** AVX2, FMA and F16C. */
  AVX2(1);

  private final int code;

  Tier(int code) {
    this.code = code;
  }

  int code() {
    return code;
  }

  static Tier of(int code) {
    for (Tier tier : values()) {
      if (tier.code == code) {
        return tier;
      }
    }
    return SCALAR; // a newer library's tier that this code has no name for
  }

  /**
   * Returns the tier of a name.
   *
   * @throws IllegalArgumentException if there is none
   */
  static Tier named(String name) {
    for (Tier tier : values()) {
      if (tier.toString().equals(name)) {
        return tier;
      }
    }
    throw new IllegalArgumentException("there is no tier " + name + "; there are scalar and avx2");
  }

  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT);
  }
}
