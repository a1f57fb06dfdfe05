package io.engram4j.kernel.java;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_SHORT_UNALIGNED;

import io.engram4j.format.E4m3;
import io.engram4j.table.RowType;
import java.lang.foreign.MemorySegment;

/**
 * The elements of blocks as ggml has them (docs/spec.md, section 6.2), a method per type, as in C's
 * blocks.h. Every product here is exact in float and at most one sum rounds, so that any order
 * gives the same bits.
 */
final class JavaBlocks {
  private static final int[] IQ4_LEVELS = {
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113
  };

  /** Twice what a 4-bit float of 1, 2 and 1 bits says; its -0 is 0. */
  private static final int[] E2M1_DOUBLED = {
    0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12
  };

  private JavaBlocks() {}

  /** Gives one element of a block. */
  @FunctionalInterface
  interface Block {
    /** Returns element {@code i} of the block that begins at byte {@code b}. */
    float element(MemorySegment data, long b, int i);
  }

  /** Returns what decodes a type's blocks. */
  static Block of(RowType type) {
    return switch (type) {
      case Q8_0 -> JavaBlocks::q80;
      case Q4_0 -> JavaBlocks::q40;
      case Q4_1 -> JavaBlocks::q41;
      case Q5_0 -> JavaBlocks::q50;
      case Q5_1 -> JavaBlocks::q51;
      case IQ4_NL -> JavaBlocks::iq4nl;
      case MXFP4 -> JavaBlocks::mxfp4;
      case NVFP4 -> JavaBlocks::nvfp4;
      case Q1_0 -> JavaBlocks::q10;
      case Q2_0 -> JavaBlocks::q20;
      case Q2_K -> JavaBlocks::q2k;
      case Q3_K -> JavaBlocks::q3k;
      case Q4_K -> JavaBlocks::q4k;
      case Q5_K -> JavaBlocks::q5k;
      case Q6_K -> JavaBlocks::q6k;
      case IQ4_XS -> JavaBlocks::iq4xs;
      case F32, BF16, F16, F8_E4M3, F8_E4M3_TENSOR, F4_E2M1, AFFINE4_64, AFFINE4_32 ->
          throw new IllegalArgumentException(type + " has no scales in its blocks");
    };
  }

  private static int u8(MemorySegment data, long base, int offset) {
    return data.get(JAVA_BYTE, base + offset) & 0xff;
  }

  /** Some bits of a byte. */
  private static int bits(MemorySegment data, long base, int offset, int shift, int mask) {
    return (u8(data, base, offset) >> shift) & mask;
  }

  private static float half(MemorySegment data, long at) {
    return Float.float16ToFloat(data.get(JAVA_SHORT_UNALIGNED, at));
  }

  /** Of 16 bytes, the low halves are elements 0 to 15 and the high ones 16 to 31. */
  private static int nibble(MemorySegment data, long at, int i) {
    return bits(data, at, i % 16, i < 16 ? 0 : 4, 15);
  }

  /** Returns the code of a 4-bit float doubled. */
  static int e2m1Doubled(int code) {
    return E2M1_DOUBLED[code];
  }

  /** Half of 2^(code - 127), for numbers that come doubled: 255 is no NaN here. */
  private static float e8m0Half(int code) {
    return Float.intBitsToFloat(code < 2 ? 0x00200000 << code : (code - 1) << 23);
  }

  /** An e4m3 whose sign means nothing, as ggml has it: 7F gives 0, FF what no e4m3 is, 480. */
  private static float unsignedE4m3(int code) {
    return code == 0x7f ? 0 : code == 0xff ? 480 : E4m3.toFloat((byte) (code & 0x7f));
  }

  private static float q80(MemorySegment d, long b, int i) {
    return half(d, b) * d.get(JAVA_BYTE, b + 2 + i);
  }

  private static float q40(MemorySegment d, long b, int i) {
    return half(d, b) * (nibble(d, b + 2, i) - 8);
  }

  private static float q41(MemorySegment d, long b, int i) {
    return half(d, b) * nibble(d, b + 4, i) + half(d, b + 2);
  }

  private static int fifthBit(MemorySegment d, long base, int i) {
    return bits(d, base, i / 8, i % 8, 1) << 4;
  }

  private static float q50(MemorySegment d, long b, int i) {
    return half(d, b) * ((nibble(d, b + 6, i) | fifthBit(d, b + 2, i)) - 16);
  }

  private static float q51(MemorySegment d, long b, int i) {
    return half(d, b) * (nibble(d, b + 8, i) | fifthBit(d, b + 4, i)) + half(d, b + 2);
  }

  private static float iq4nl(MemorySegment d, long b, int i) {
    return half(d, b) * IQ4_LEVELS[nibble(d, b + 2, i)];
  }

  private static float mxfp4(MemorySegment d, long b, int i) {
    return e8m0Half(u8(d, b, 0)) * E2M1_DOUBLED[nibble(d, b + 1, i)];
  }

  /** Four runs of 16 elements in 8 bytes each, low halves first. */
  private static float nvfp4(MemorySegment d, long b, int i) {
    int code = bits(d, b + 4, i / 16 * 8 + i % 8, i % 16 < 8 ? 0 : 4, 15);
    return unsignedE4m3(u8(d, b, i / 16)) * 0.5f * E2M1_DOUBLED[code];
  }

  private static float q10(MemorySegment d, long b, int i) {
    float scale = half(d, b);
    return bits(d, b + 2, i / 8, i % 8, 1) != 0 ? scale : -scale;
  }

  private static float q20(MemorySegment d, long b, int i) {
    return half(d, b) * (bits(d, b + 2, i / 4, 2 * (i % 4), 3) - 1);
  }

  /** Two bits of 256 elements: halves of 128 in 32 bytes, planes of 32 in those. */
  private static int twoBits(MemorySegment d, long at, int i) {
    return bits(d, at, i / 128 * 32 + i % 32, 2 * (i / 32 % 4), 3);
  }

  private static float q2k(MemorySegment d, long b, int i) {
    float scale = half(d, b + 80) * bits(d, b, i / 16, 0, 15);
    return scale * twoBits(d, b + 16, i) - half(d, b + 82) * bits(d, b, i / 16, 4, 15);
  }

  private static float q3k(MemorySegment d, long b, int i) {
    int group = i / 16;
    int low = bits(d, b + 96, group % 8, 4 * (group / 8), 15);
    int high = bits(d, b + 104, group % 4, 2 * (group / 4), 3);
    int code = twoBits(d, b + 32, i) - (bits(d, b, i % 32, i / 32, 1) != 0 ? 0 : 4);
    return half(d, b + 108) * ((low | high << 4) - 32) * code;
  }

  /** Scale of a group of 32, six bits, of 12 bytes. */
  private static int scale(MemorySegment d, long s, int group) {
    return group < 4
        ? bits(d, s, group, 0, 63)
        : bits(d, s, group + 4, 0, 15) | bits(d, s, group - 4, 6, 3) << 4;
  }

  private static int minimum(MemorySegment d, long s, int group) {
    return group < 4
        ? bits(d, s, group + 4, 0, 63)
        : bits(d, s, group + 4, 4, 15) | bits(d, s, group, 6, 3) << 4;
  }

  private static float k(MemorySegment d, long b, int group, int code) {
    float scale = half(d, b) * scale(d, b + 4, group);
    return scale * code - half(d, b + 2) * minimum(d, b + 4, group);
  }

  /** Groups of 32 share 32 bytes in pairs, the even one in the low halves. */
  private static int pairedNibble(MemorySegment d, long at, int i) {
    return bits(d, at, i / 64 * 32 + i % 32, 4 * (i / 32 % 2), 15);
  }

  private static float q4k(MemorySegment d, long b, int i) {
    return k(d, b, i / 32, pairedNibble(d, b + 16, i));
  }

  private static float q5k(MemorySegment d, long b, int i) {
    int high = bits(d, b + 16, i % 32, i / 32, 1) << 4;
    return k(d, b, i / 32, pairedNibble(d, b + 48, i) | high);
  }

  private static float q6k(MemorySegment d, long b, int i) {
    int plane = i / 32 % 4;
    int low = bits(d, b, i / 128 * 64 + plane % 2 * 32 + i % 32, plane < 2 ? 0 : 4, 15);
    int high = bits(d, b + 128, i / 128 * 32 + i % 32, 2 * plane, 3);
    float scale = half(d, b + 208) * d.get(JAVA_BYTE, b + 192 + i / 16);
    return scale * ((low | high << 4) - 32);
  }

  private static float iq4xs(MemorySegment d, long b, int i) {
    int group = i / 32;
    int low = bits(d, b + 4, group / 2, 4 * (group % 2), 15);
    int high = bits(d, b + 2, group / 4, 2 * (group % 4), 3);
    int level = IQ4_LEVELS[nibble(d, b + 8 + 16L * group, i % 32)];
    return half(d, b) * ((low | high << 4) - 32) * level;
  }
}
