/* What the AVX2 kernels share. */
#ifndef ENGRAM_TIER_AVX2_H
#define ENGRAM_TIER_AVX2_H

#if !defined(__AVX2__) || !defined(__FMA__) || !defined(__F16C__) || defined(__AVX512F__)
#error "this file is built for AVX2, FMA and F16C, and for nothing above"
#endif

#include <immintrin.h>

#include "kernels.h"

void engram_avx2_hash(const struct engram_layout *layout, const int32_t *windows, int64_t tokens,
                      int64_t *row_ids);
void engram_avx2_gather(const struct engram_table *table, const int64_t *row_ids, int64_t count,
                        uint8_t *out, int out_type);
void engram_avx2_project(const struct engram_linear *linear, const float *in, int64_t tokens,
                         int first, int count, float *out, int64_t out_stride);
void engram_avx2_gate_sums(const float *product, const float *key, const void *stream, int type,
                           int64_t hidden, double sums[3]);
void engram_avx2_gate_apply(float gate, const float *value, void *stream, int type, int64_t hidden,
                            float *gated);
void engram_avx2_conv_norm(const float *gated, const float *norm, float eps, int64_t hidden,
                           float *out);
void engram_avx2_conv_taps(const struct engram_conv_weights *conv, const float *gated,
                           const float *window, int64_t channels, float *delta);

/*
 * Eight e4m3 codes as floats, divided by 256 and without regard to NaN: moved into a half's sign,
 * the lower four of its exponent bits and its upper fraction bits, so that biases differ by 8.
 */
static inline __m256 engram_e4m3_over_256(__m128i codes) {
  __m128i high = _mm_unpacklo_epi8(_mm_setzero_si128(), codes);
  __m128i half = _mm_and_si128(_mm_srai_epi16(high, 1), _mm_set1_epi16((short)0xBF80));
  return _mm256_cvtph_ps(half);
}

/* All ones in each 32-bit lane whose code is NaN. */
static inline __m256 engram_e4m3_nan(__m128i codes) {
  __m256i wide = _mm256_cvtepu8_epi32(codes);
  __m256i magnitude = _mm256_and_si256(wide, _mm256_set1_epi32(0x7f));
  return _mm256_castsi256_ps(_mm256_cmpeq_epi32(magnitude, _mm256_set1_epi32(0x7f)));
}

static inline __m256 engram_bf16_to_floats(__m128i bits) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}

/* To bf16, nearest even, NaN staying NaN. */
static inline __m128i engram_floats_to_bf16(__m256 values) {
  __m256i bits = _mm256_castps_si256(values);
  __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  __m256i rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
  __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
  __m256 nan = _mm256_cmp_ps(values, values, _CMP_UNORD_Q);
  __m256i chosen = _mm256_castps_si256(
      _mm256_blendv_ps(_mm256_castsi256_ps(rounded), _mm256_castsi256_ps(quiet), nan));
  __m256i words = _mm256_srli_epi32(chosen, 16);
  return _mm_packus_epi32(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
}

#endif
