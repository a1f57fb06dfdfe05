package io.engram4j.cpu;

import io.engram4j.bindings.Engram;
import java.util.Arrays;
import java.util.Locale;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/** The instruction-set tiers of the CPU kernels. */
public enum Tier {
  /** Any CPU of the architecture. */
  SCALAR(Engram.ENGRAM_TIER_SCALAR(), 0),
  /** x86-64 with AVX2, FMA and F16C. */
  AVX2(Engram.ENGRAM_TIER_AVX2(), 1),
  /** x86-64 with AVX-512 F, BW, DQ and VL. */
  AVX512(Engram.ENGRAM_TIER_AVX512(), 2),
  /** x86-64 with AVX-512 as above, BF16 and VBMI: two products an instruction. */
  AVX512_BF16(Engram.ENGRAM_TIER_AVX512_BF16(), 3),
  /** And with AMX-BF16: tiles for batches. */
  AMX_BF16(Engram.ENGRAM_TIER_AMX_BF16(), 4),
  /** AArch64. */
  NEON(Engram.ENGRAM_TIER_NEON(), 1),
  /** AArch64 with BF16: two products an instruction. */
  NEON_BF16(Engram.ENGRAM_TIER_NEON_BF16(), 2);

  private final int code;
  private final int level;

  Tier(int code, int level) {
    this.code = code;
    this.level = level;
  }

  int code() {
    return code;
  }

  /**
   * Returns the best tier that can run and is no higher than a cap. A cap of another architecture
   * counts by its level, so that one setting can serve machines of both.
   */
  static Tier best(@Nullable Tier cap, Predicate<Tier> runs) {
    Tier best = SCALAR;
    for (Tier tier : values()) {
      boolean allowed = cap == null || tier.level <= cap.level;
      if (tier.level > best.level && allowed && runs.test(tier)) {
        best = tier;
      }
    }
    return best;
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
    throw new IllegalArgumentException(
        "there is no tier " + name + "; there are " + Arrays.toString(values()));
  }

  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT);
  }
}
