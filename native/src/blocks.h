/*
 * The elements of blocks as ggml has them (docs/spec.md, section 6.2): a function per type, once
 * for C and for CUDA. A block has its scales within; b is its first byte, i the element in it.
 * Every product here is exact in float and at most one sum rounds, so that any order gives the same
 * bits.
 */
#ifndef ENGRAM_BLOCKS_H
#define ENGRAM_BLOCKS_H

#include "formats.h"

ENGRAM_INLINE float engram_half_at(const uint8_t *from) {
  return engram_half(engram_load16(from));
}

/* Of 16 bytes, the low halves are elements 0 to 15 and the high ones 16 to 31. */
ENGRAM_INLINE int engram_nibble(const uint8_t *bytes, int i) {
  return i < 16 ? bytes[i] & 15 : bytes[i - 16] >> 4;
}

/* The levels of IQ4_NL and IQ4_XS. */
ENGRAM_INLINE int engram_iq4_level(int code) {
  switch (code) {
    case 0:
      return -127;
    case 1:
      return -104;
    case 2:
      return -83;
    case 3:
      return -65;
    case 4:
      return -49;
    case 5:
      return -35;
    case 6:
      return -22;
    case 7:
      return -10;
    case 8:
      return 1;
    case 9:
      return 13;
    case 10:
      return 25;
    case 11:
      return 38;
    case 12:
      return 53;
    case 13:
      return 69;
    case 14:
      return 89;
    default:
      return 113;
  }
}

/* Twice what a 4-bit float of 1, 2 and 1 bits says; its -0 is 0. */
ENGRAM_INLINE int engram_e2m1_doubled(int code) {
  int magnitude = code & 7;
  int fraction = magnitude & 1;
  int exponent = magnitude >> 1;
  int value = exponent == 0 ? fraction : (2 + fraction) << (exponent - 1);
  return code & 8 ? -value : value;
}

/* Half of 2^(code - 127), for numbers that come doubled: 255 is no NaN here. */
ENGRAM_INLINE float engram_e8m0_half(uint8_t code) {
  return engram_bits_to_float(code < 2 ? 0x00200000u << code : (uint32_t)(code - 1) << 23);
}

/* An e4m3 whose sign means nothing, as ggml has it: 7F gives 0, FF what no e4m3 is, 480. */
ENGRAM_INLINE float engram_ue4m3(uint8_t code) {
  return code == 0x7f ? 0 : code == 0xff ? 480 : engram_e4m3(code & 0x7f);
}

ENGRAM_INLINE float engram_q8_0(const uint8_t *b, int i) {
  return engram_half_at(b) * (float)(int8_t)b[2 + i];
}

ENGRAM_INLINE float engram_q4_0(const uint8_t *b, int i) {
  return engram_half_at(b) * (float)(engram_nibble(b + 2, i) - 8);
}

ENGRAM_INLINE float engram_q4_1(const uint8_t *b, int i) {
  return engram_half_at(b) * (float)engram_nibble(b + 4, i) + engram_half_at(b + 2);
}

ENGRAM_INLINE int engram_fifth_bit(const uint8_t *bits, int i) {
  return (bits[i / 8] >> (i % 8) & 1) << 4;
}

ENGRAM_INLINE float engram_q5_0(const uint8_t *b, int i) {
  int code = engram_nibble(b + 6, i) | engram_fifth_bit(b + 2, i);
  return engram_half_at(b) * (float)(code - 16);
}

ENGRAM_INLINE float engram_q5_1(const uint8_t *b, int i) {
  int code = engram_nibble(b + 8, i) | engram_fifth_bit(b + 4, i);
  return engram_half_at(b) * (float)code + engram_half_at(b + 2);
}

ENGRAM_INLINE float engram_iq4_nl(const uint8_t *b, int i) {
  return engram_half_at(b) * (float)engram_iq4_level(engram_nibble(b + 2, i));
}

ENGRAM_INLINE float engram_mxfp4(const uint8_t *b, int i) {
  return engram_e8m0_half(b[0]) * (float)engram_e2m1_doubled(engram_nibble(b + 1, i));
}

/* Four runs of 16 elements in 8 bytes each, low halves first. */
ENGRAM_INLINE float engram_nvfp4(const uint8_t *b, int i) {
  uint8_t byte = b[4 + i / 16 * 8 + i % 8];
  int code = i % 16 < 8 ? byte & 15 : byte >> 4;
  return engram_ue4m3(b[i / 16]) * 0.5f * (float)engram_e2m1_doubled(code);
}

ENGRAM_INLINE float engram_q1_0(const uint8_t *b, int i) {
  float d = engram_half_at(b);
  return b[2 + i / 8] >> (i % 8) & 1 ? d : -d;
}

ENGRAM_INLINE float engram_q2_0(const uint8_t *b, int i) {
  return engram_half_at(b) * (float)((b[2 + i / 4] >> 2 * (i % 4) & 3) - 1);
}

/* Two bits of 256 elements: halves of 128 in 32 bytes, planes of 32 in those. */
ENGRAM_INLINE int engram_two_bits(const uint8_t *bytes, int i) {
  return bytes[i / 128 * 32 + i % 32] >> 2 * (i / 32 % 4) & 3;
}

ENGRAM_INLINE float engram_q2_k(const uint8_t *b, int i) {
  uint8_t scale = b[i / 16];
  float d = engram_half_at(b + 80) * (float)(scale & 15);
  return d * (float)engram_two_bits(b + 16, i) - engram_half_at(b + 82) * (float)(scale >> 4);
}

ENGRAM_INLINE int engram_q3_k_scale(const uint8_t *s, int group) {
  return ((s[group % 8] >> 4 * (group / 8) & 15) | (s[8 + group % 4] >> 2 * (group / 4) & 3) << 4) -
         32;
}

ENGRAM_INLINE float engram_q3_k(const uint8_t *b, int i) {
  int code = engram_two_bits(b + 32, i) - (b[i % 32] >> i / 32 & 1 ? 0 : 4);
  return engram_half_at(b + 108) * (float)engram_q3_k_scale(b + 96, i / 16) * (float)code;
}

/* Scale and minimum of a group of 32, six bits each, of 12 bytes. */
ENGRAM_INLINE int engram_k_scale(const uint8_t *s, int group) {
  return group < 4 ? s[group] & 63 : (s[group + 4] & 15) | s[group - 4] >> 6 << 4;
}
ENGRAM_INLINE int engram_k_minimum(const uint8_t *s, int group) {
  return group < 4 ? s[group + 4] & 63 : s[group + 4] >> 4 | s[group] >> 6 << 4;
}

ENGRAM_INLINE float engram_k_value(const uint8_t *b, int group, int code) {
  float d = engram_half_at(b) * (float)engram_k_scale(b + 4, group);
  return d * (float)code - engram_half_at(b + 2) * (float)engram_k_minimum(b + 4, group);
}

/* Groups of 32 share 32 bytes in pairs, the even one in the low halves. */
ENGRAM_INLINE int engram_paired_nibble(const uint8_t *bytes, int i) {
  uint8_t byte = bytes[i / 64 * 32 + i % 32];
  return i / 32 % 2 ? byte >> 4 : byte & 15;
}

ENGRAM_INLINE float engram_q4_k(const uint8_t *b, int i) {
  return engram_k_value(b, i / 32, engram_paired_nibble(b + 16, i));
}

ENGRAM_INLINE float engram_q5_k(const uint8_t *b, int i) {
  int high = (b[16 + i % 32] >> i / 32 & 1) << 4;
  return engram_k_value(b, i / 32, engram_paired_nibble(b + 48, i) | high);
}

ENGRAM_INLINE float engram_q6_k(const uint8_t *b, int i) {
  int plane = i / 32 % 4;
  uint8_t byte = b[i / 128 * 64 + plane % 2 * 32 + i % 32];
  int low = plane < 2 ? byte & 15 : byte >> 4;
  int high = b[128 + i / 128 * 32 + i % 32] >> 2 * plane & 3;
  float d = engram_half_at(b + 208) * (float)(int8_t)b[192 + i / 16];
  return d * (float)((low | high << 4) - 32);
}

ENGRAM_INLINE int engram_iq4_xs_scale(const uint8_t *b, int group) {
  return ((b[4 + group / 2] >> 4 * (group % 2) & 15) | (engram_load16(b + 2) >> 2 * group & 3)
                                                           << 4) -
         32;
}

ENGRAM_INLINE float engram_iq4_xs(const uint8_t *b, int i) {
  int level = engram_iq4_level(engram_nibble(b + 8 + i / 32 * 16, i % 32));
  return engram_half_at(b) * (float)engram_iq4_xs_scale(b, i / 32) * (float)level;
}

#endif
