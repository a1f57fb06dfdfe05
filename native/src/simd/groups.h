/*
 * Groups of 32 elements of block types (../blocks.h has them one by one): their codes as bytes, and
 * per half of the group what codes are multiplied by and what is added. Written once for all tiers
 * with vectors of 16 bytes; what differs is a lookup and the conversion of a half.
 */
#ifndef ENGRAM_GROUPS_H
#define ENGRAM_GROUPS_H

#include "simd.h"

#define GROUP 32
#define HALVES 2

typedef uint8_t octets __attribute__((vector_size(16)));
typedef int8_t signed_octets __attribute__((vector_size(16)));

struct group {
  octets codes[HALVES];
  float scale[HALVES];
  float added[HALVES]; /* of types that add */
};

/* What a block has for all of its groups, of the types for which it pays to make it at once. */
struct block_scales {
  float scale[8];
  float added[8];
};

#if defined(ENGRAM_SIMD_NEON)
INLINE octets o_lookup(octets table, octets codes) {
  return (octets)vqtbl1q_u8((uint8x16_t)table, (uint8x16_t)codes);
}
INLINE float half_at(const uint8_t *from) {
  __fp16 half;
  __builtin_memcpy(&half, from, sizeof half);
  return half;
}
/* The lower or the upper eight of 16 codes. */
INLINE floats f_codes(octets codes, const int upper) {
  int8x16_t all = (int8x16_t)codes;
  int16x8_t wide = upper ? vmovl_high_s8(all) : vmovl_s8(vget_low_s8(all));
  return BOTH(floats, vcvtq_f32_s32(vmovl_s16(vget_low_s16(wide))),
              vcvtq_f32_s32(vmovl_high_s16(wide)));
}
#else
INLINE octets o_lookup(octets table, octets codes) {
  return (octets)_mm_shuffle_epi8((__m128i)table, (__m128i)codes);
}
INLINE float half_at(const uint8_t *from) {
  return _cvtsh_ss(engram_load16(from));
}
#if defined(ENGRAM_SIMD_AVX512)
INLINE floats f_codes(octets codes, const int upper) { /* all 16 */
  (void)upper;
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32((__m128i)codes));
}
#else
INLINE floats f_codes(octets codes, const int upper) {
  __m128i all = (__m128i)codes;
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(upper ? _mm_srli_si128(all, 8) : all));
}
#endif
#endif

INLINE octets o_load(const void *from) {
  octets x;
  __builtin_memcpy(&x, from, sizeof x);
  return x;
}
INLINE void put_both(struct group *to, octets low, octets high) {
  to->codes[0] = low;
  to->codes[1] = high;
}
INLINE void scale_both(struct group *to, float scale) {
  to->scale[0] = to->scale[1] = scale;
}
INLINE void add_both(struct group *to, float added) {
  to->added[0] = to->added[1] = added;
}

INLINE octets iq4_levels(octets codes) {
  const signed_octets levels = {-127, -104, -83, -65, -49, -35, -22, -10,
                                1,    13,   25,  38,  53,  69,  89,  113};
  return o_lookup((octets)levels, codes);
}

INLINE octets e2m1_doubled(octets codes) {
  const signed_octets values = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
  return o_lookup((octets)values, codes);
}

/* Bit `bit` of 32 bytes, moved to `to`. */
INLINE void put_bits(struct group *to, octets low, octets high, octets low_bits, octets high_bits,
                     int bit, int at) {
  put_both(to, low | (low_bits >> bit & 1) << at, high | (high_bits >> bit & 1) << at);
}

INLINE void q8_0_group(const uint8_t *b, const int g, struct group *to) {
  (void)g;
  put_both(to, o_load(b + 2), o_load(b + 18));
  scale_both(to, half_at(b));
}

INLINE void q4_0_group(const uint8_t *b, const int g, struct group *to) {
  (void)g;
  octets bytes = o_load(b + 2);
  put_both(to, (bytes & 15) - 8, (bytes >> 4) - 8);
  scale_both(to, half_at(b));
}

INLINE void q4_1_group(const uint8_t *b, const int g, struct group *to) {
  (void)g;
  octets bytes = o_load(b + 4);
  put_both(to, bytes & 15, bytes >> 4);
  scale_both(to, half_at(b));
  add_both(to, half_at(b + 2));
}

/* A byte of bits, one for each of eight elements, to 16 or 0 in each. */
INLINE octets spread_bits(const uint8_t *bits) {
  const octets each = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
  const octets which = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1};
  octets two = {bits[0], bits[1]};
  octets spread = o_lookup(two, which);
  return (octets)((spread & each) == each) & 16;
}

INLINE void q5_0_group(const uint8_t *b, const int g, struct group *to) {
  (void)g;
  octets bytes = o_load(b + 6);
  put_both(to, ((bytes & 15) | spread_bits(b + 2)) - 16, (bytes >> 4 | spread_bits(b + 4)) - 16);
  scale_both(to, half_at(b));
}

INLINE void q5_1_group(const uint8_t *b, const int g, struct group *to) {
  (void)g;
  octets bytes = o_load(b + 8);
  put_both(to, (bytes & 15) | spread_bits(b + 4), bytes >> 4 | spread_bits(b + 6));
  scale_both(to, half_at(b));
  add_both(to, half_at(b + 2));
}

INLINE void iq4_nl_group(const uint8_t *b, const int g, struct group *to) {
  (void)g;
  octets bytes = o_load(b + 2);
  put_both(to, iq4_levels(bytes & 15), iq4_levels(bytes >> 4));
  scale_both(to, half_at(b));
}

INLINE void mxfp4_group(const uint8_t *b, const int g, struct group *to) {
  (void)g;
  octets bytes = o_load(b + 1);
  put_both(to, e2m1_doubled(bytes & 15), e2m1_doubled(bytes >> 4));
  scale_both(to, engram_e8m0_half(b[0]));
}

INLINE void nvfp4_group(const uint8_t *b, const int g, struct group *to) {
  octets bytes = o_load(b + 4 + 16 * g);
  octets low = e2m1_doubled(bytes & 15);
  octets high = e2m1_doubled(bytes >> 4);
  put_both(
      to,
      __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23),
      __builtin_shufflevector(low, high, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30,
                              31));
  to->scale[0] = engram_ue4m3(b[2 * g]) * 0.5f;
  to->scale[1] = engram_ue4m3(b[2 * g + 1]) * 0.5f;
}

INLINE octets two_bits(const uint8_t *bytes, const int g, int half) {
  return o_load(bytes + g / 4 * 32 + 16 * half) >> 2 * (g % 4) & 3;
}

INLINE void q2_k_group(const uint8_t *b, const int g, struct group *to) {
  put_both(to, two_bits(b + 16, g, 0), two_bits(b + 16, g, 1));
  for (int half = 0; half < HALVES; half++) {
    uint8_t scale = b[2 * g + half];
    to->scale[half] = half_at(b + 80) * (float)(scale & 15);
    to->added[half] = -(half_at(b + 82) * (float)(scale >> 4));
  }
}

INLINE void q3_k_group(const uint8_t *b, const int g, struct group *to) {
  for (int half = 0; half < HALVES; half++) {
    octets high = (o_load(b + 16 * half) >> g & 1) << 2; /* 4 where the bit is set */
    to->codes[half] = (two_bits(b + 32, g, half) | high) - 4;
    to->scale[half] = half_at(b + 108) * (float)engram_q3_k_scale(b + 96, 2 * g + half);
  }
}

INLINE octets paired_nibbles(const uint8_t *bytes, const int g, int half) {
  octets both = o_load(bytes + g / 2 * 32 + 16 * half);
  return g % 2 ? both >> 4 : both & 15;
}

/* Of 12 bytes of six bits each, four at a time. */
INLINE void k_scales(const uint8_t *b, struct block_scales *to) {
  const uint32_t six = 0x3f3f3f3f;
  const uint32_t four = 0x0f0f0f0f;
  const uint32_t two = 0x03030303;
  uint32_t low = (uint32_t)engram_load32(b + 4);
  uint32_t middle = (uint32_t)engram_load32(b + 8);
  uint32_t high = (uint32_t)engram_load32(b + 12);
  uint32_t scales[2] = {low & six, (high & four) | (low >> 6 & two) << 4};
  uint32_t minima[2] = {middle & six, (high >> 4 & four) | (middle >> 6 & two) << 4};
  float d = half_at(b);
  float m = -half_at(b + 2);
  for (int g = 0; g < 8; g++) {
    to->scale[g] = d * (float)((const uint8_t *)scales)[g];
    to->added[g] = m * (float)((const uint8_t *)minima)[g];
  }
}

INLINE void k_group(const struct block_scales *scales, const int g, struct group *to) {
  scale_both(to, scales->scale[g]);
  add_both(to, scales->added[g]);
}

INLINE void q4_k_group(const uint8_t *b, const struct block_scales *scales, const int g,
                       struct group *to) {
  put_both(to, paired_nibbles(b + 16, g, 0), paired_nibbles(b + 16, g, 1));
  k_group(scales, g, to);
}

INLINE void q5_k_group(const uint8_t *b, const struct block_scales *scales, const int g,
                       struct group *to) {
  put_bits(to, paired_nibbles(b + 48, g, 0), paired_nibbles(b + 48, g, 1), o_load(b + 16),
           o_load(b + 32), g, 4);
  k_group(scales, g, to);
}

INLINE void q6_k_group(const uint8_t *b, const int g, struct group *to) {
  const int plane = g % 4;
  for (int half = 0; half < HALVES; half++) {
    octets both = o_load(b + g / 4 * 64 + plane % 2 * 32 + 16 * half);
    octets low = plane < 2 ? both & 15 : both >> 4;
    octets high = o_load(b + 128 + g / 4 * 32 + 16 * half) >> 2 * plane & 3;
    to->codes[half] = (low | high << 4) - 32;
    to->scale[half] = half_at(b + 208) * (float)(int8_t)b[192 + 2 * g + half];
  }
}

INLINE void iq4_xs_group(const uint8_t *b, const int g, struct group *to) {
  octets bytes = o_load(b + 8 + 16 * g);
  put_both(to, iq4_levels(bytes & 15), iq4_levels(bytes >> 4));
  scale_both(to, half_at(b) * (float)engram_iq4_xs_scale(b, g));
}

/* Whether a type has groups here. */
INLINE int has_groups(const int type) {
  return type >= ENGRAM_Q8_0 && type != ENGRAM_Q1_0 && type != ENGRAM_Q2_0;
}

/* Whether its elements are products and sums, or products alone. */
INLINE int adds(const int type) {
  return type == ENGRAM_Q4_1 || type == ENGRAM_Q5_1 || type == ENGRAM_Q2_K || type == ENGRAM_Q4_K ||
         type == ENGRAM_Q5_K;
}

/* Of a block, before its groups. */
INLINE void scales_of(const int type, const uint8_t *b, struct block_scales *to) {
  if (type == ENGRAM_Q4_K || type == ENGRAM_Q5_K) {
    k_scales(b, to);
  }
}

/* Group g of a block; g and the type are constants. */
INLINE void group_of(const int type, const uint8_t *b, const struct block_scales *scales,
                     const int g, struct group *to) {
  switch (type) {
    case ENGRAM_Q8_0:
      q8_0_group(b, g, to);
      break;
    case ENGRAM_Q4_0:
      q4_0_group(b, g, to);
      break;
    case ENGRAM_Q4_1:
      q4_1_group(b, g, to);
      break;
    case ENGRAM_Q5_0:
      q5_0_group(b, g, to);
      break;
    case ENGRAM_Q5_1:
      q5_1_group(b, g, to);
      break;
    case ENGRAM_IQ4_NL:
      iq4_nl_group(b, g, to);
      break;
    case ENGRAM_MXFP4:
      mxfp4_group(b, g, to);
      break;
    case ENGRAM_NVFP4:
      nvfp4_group(b, g, to);
      break;
    case ENGRAM_Q2_K:
      q2_k_group(b, g, to);
      break;
    case ENGRAM_Q3_K:
      q3_k_group(b, g, to);
      break;
    case ENGRAM_Q4_K:
      q4_k_group(b, scales, g, to);
      break;
    case ENGRAM_Q5_K:
      q5_k_group(b, scales, g, to);
      break;
    case ENGRAM_Q6_K:
      q6_k_group(b, g, to);
      break;
    default:
      iq4_xs_group(b, g, to);
      break;
  }
}

/* LANES elements of a group as floats, from element LANES * i on. */
INLINE floats f_group(const int type, const struct group *group, const int i) {
  const int half = LANES * i / 16;
  floats codes = f_codes(group->codes[half], LANES * i % 16 != 0);
  floats product = f_mul(codes, f_set(group->scale[half]));
  return adds(type) ? f_add(product, f_set(group->added[half])) : product;
}

#endif
