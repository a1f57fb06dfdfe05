/* What the ways of fp8 weights and inputs that are bf16 numbers share: see project_bf16.c. */
#ifndef ENGRAM_PROJECT_BF16_H
#define ENGRAM_PROJECT_BF16_H

#if !defined(__AVX512BF16__) || !defined(__AVX512VBMI__)
#error "this tier is AVX-512 with BF16 and VBMI"
#endif
#include "project_fp8.h"

#define STEP 64 /* weights that are looked up at once */
#define PART 1024
#define SUMS 16 /* that stay in registers */

/* The upper and the lower bytes of what codes are as bf16, by the 7 bits of their size. */
struct codes {
  __m512i upper[2];
  __m512i lower[2];
};

static inline struct codes codes_as_bf16(void) {
  uint8_t upper[128];
  uint8_t lower[128];
  for (int size = 0; size < 128; size++) {
    uint32_t bits = engram_float_to_bits(engram_e4m3((uint8_t)size)) >> 16;
    upper[size] = (uint8_t)(bits >> 8);
    lower[size] = (uint8_t)bits;
  }
  struct codes codes;
  for (int half = 0; half < 2; half++) {
    codes.upper[half] = _mm512_loadu_si512(upper + 64 * half);
    codes.lower[half] = _mm512_loadu_si512(lower + 64 * half);
  }
  return codes;
}

/* 64 weights: the first 8 of every 16, then the others. */
INLINE void look_up(const struct codes *codes, const uint8_t *from, __m512bh w[2]) {
  __m512i code = _mm512_loadu_si512(from);
  __m512i upper = _mm512_permutex2var_epi8(codes->upper[0], code, codes->upper[1]);
  __m512i lower = _mm512_permutex2var_epi8(codes->lower[0], code, codes->lower[1]);
  upper = _mm512_ternarylogic_epi32(upper, code, _mm512_set1_epi8((char)0x80), 0xf8); /* | & */
  w[0] = (__m512bh)_mm512_unpacklo_epi8(lower, upper);
  w[1] = (__m512bh)_mm512_unpackhi_epi8(lower, upper);
}

/* Whether inputs are ordinary and lose nothing as bf16. */
static inline int are_bf16(const float *in, int64_t inputs) {
  __m512i low = _mm512_setzero_si512();
  for (int64_t i = 0; i < inputs; i += LANES) {
    low = _mm512_or_si512(low, _mm512_loadu_si512(in + i));
  }
  return !_mm512_test_epi32_mask(low, _mm512_set1_epi32(0xffff)) &&
         TIER(ordinary_inputs)(in, inputs);
}

/* 64 inputs, bf16 numbers times a scale for each half, in the order of the weights. */
INLINE void store_inputs(const float *in, floats first_scale, floats second_scale, uint16_t *to) {
  const __m512i order = _mm512_setr_epi32(
      0x00030001, 0x00070005, 0x000b0009, 0x000f000d, 0x00230021, 0x00270025, 0x002b0029,
      0x002f002d, 0x00130011, 0x00170015, 0x001b0019, 0x001f001d, 0x00330031, 0x00370035,
      0x003b0039, 0x003f003d); /* upper halves of the first 8 of each, then of the others */
  __m512i halves[2];
  for (int tile = 0; tile < 2; tile++) {
    floats scale = tile == 0 ? first_scale : second_scale;
    const float *own = in + ENGRAM_BLOCK * tile;
    __m512i first = _mm512_castps_si512(f_mul(f_load(own), scale));
    __m512i second = _mm512_castps_si512(f_mul(f_load(own + LANES), scale));
    halves[tile] = _mm512_permutex2var_epi16(first, order, second);
  }
  _mm512_storeu_si512(to, _mm512_shuffle_i64x2(halves[0], halves[1], 0x44));
  _mm512_storeu_si512(to + 32, _mm512_shuffle_i64x2(halves[0], halves[1], 0xee));
}

/* The sums of the lanes of each of 16 vectors. */
INLINE floats lane_sums(floats v[SUMS]) {
  for (int i = 0; i < 8; i++) {
    v[i] = f_add(_mm512_unpacklo_ps(v[i], v[i + 8]), _mm512_unpackhi_ps(v[i], v[i + 8]));
  }
  for (int i = 0; i < 4; i++) {
    __m512d a = _mm512_castps_pd(v[i]);
    __m512d b = _mm512_castps_pd(v[i + 4]);
    v[i] = f_add(_mm512_castpd_ps(_mm512_unpacklo_pd(a, b)),
                 _mm512_castpd_ps(_mm512_unpackhi_pd(a, b)));
  }
  for (int i = 0; i < 2; i++) {
    v[i] = f_add(_mm512_shuffle_f32x4(v[i], v[i + 2], 0x88),
                 _mm512_shuffle_f32x4(v[i], v[i + 2], 0xdd));
  }
  return f_add(_mm512_shuffle_f32x4(v[0], v[1], 0x88), _mm512_shuffle_f32x4(v[0], v[1], 0xdd));
}

/* The same of 8 vectors: each sum is added in the same order. */
INLINE void lane_sums_of_8(floats v[SUMS], float *all) {
  for (int i = 0; i < 4; i++) {
    v[i] = f_add(_mm512_unpacklo_ps(v[i], v[i + 4]), _mm512_unpackhi_ps(v[i], v[i + 4]));
  }
  for (int i = 0; i < 2; i++) {
    __m512d a = _mm512_castps_pd(v[i]);
    __m512d b = _mm512_castps_pd(v[i + 2]);
    v[i] = f_add(_mm512_castpd_ps(_mm512_unpacklo_pd(a, b)),
                 _mm512_castpd_ps(_mm512_unpackhi_pd(a, b)));
  }
  floats four =
      f_add(_mm512_shuffle_f32x4(v[0], v[1], 0x88), _mm512_shuffle_f32x4(v[0], v[1], 0xdd));
  floats two = f_add(four, _mm512_shuffle_f32x4(four, four, 0xb1));
  _mm512_storeu_ps(all, two);
}

/*
 * Adds the lanes of some rows' and tokens' sums, and them to [rows, stride]. Each is added in the
 * same order, however many there are.
 */
INLINE void add_lanes(floats sum[SUMS], const int rows, const int tokens, double *to,
                      const int stride) {
  float all[SUMS];
  if (rows * tokens == 8) {
    lane_sums_of_8(sum, all);
    for (int i = 0; i < 8; i++) {
      /* where it puts the i-th */
      int at = (i & 4) >> 2 | (i & 2) | (i & 1) << 3;
      to[i / tokens * stride + i % tokens] += all[at];
    }
    return;
  }
  f_store(all, lane_sums(sum));
  for (int row = 0; row < rows; row++) {
    for (int token = 0; token < tokens; token++) {
      int i = row * tokens + token;
      /* where lane_sums puts the i-th */
      int at = (i & 8) >> 3 | (i & 4) >> 1 | (i & 2) << 1 | (i & 1) << 3;
      to[row * stride + token] += all[at];
    }
  }
}

/* Batches: see kernels.h. */
int64_t TIER(bf16_scratch)(const struct engram_linear *linear, int64_t tokens);
void TIER(bf16_batch)(const struct engram_linear *linear, const float *in, int64_t tokens,
                      int first, int count, float *out, int64_t out_stride, void *scratch);

#endif
