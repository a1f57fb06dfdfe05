/* AVX2, FMA and F16C: 8 floats, two halves of 4 doubles. */
#if !defined(__AVX2__) || !defined(__FMA__) || !defined(__F16C__) || defined(__AVX512F__)
#error "this tier is built for AVX2, FMA and F16C, and for nothing above"
#endif
#include <immintrin.h>

#define TIER(name) engram_avx2_##name
#define LANES 8

typedef __m256 floats;
typedef __m256d doubles;

INLINE floats f_zero(void) {
  return _mm256_setzero_ps();
}
INLINE floats f_set(float x) {
  return _mm256_set1_ps(x);
}
INLINE floats f_load(const void *from) {
  return _mm256_loadu_ps(from);
}
INLINE void f_store(void *to, floats x) {
  _mm256_storeu_ps(to, x);
}
INLINE floats f_add(floats a, floats b) {
  return _mm256_add_ps(a, b);
}
INLINE floats f_mul(floats a, floats b) {
  return _mm256_mul_ps(a, b);
}
INLINE floats f_fma(floats a, floats b, floats c) {
  return _mm256_fmadd_ps(a, b, c);
}

INLINE floats f_load_bf16(const void *from) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128(from)), 16));
}
INLINE __m256i rounded_to_bf16(floats x) { /* in the upper halves */
  __m256i bits = _mm256_castps_si256(x);
  __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  __m256i rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
  __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
  __m256 nan = _mm256_cmp_ps(x, x, _CMP_UNORD_Q);
  return _mm256_castps_si256(
      _mm256_blendv_ps(_mm256_castsi256_ps(rounded), _mm256_castsi256_ps(quiet), nan));
}
INLINE void f_store_bf16(void *to, floats x) {
  __m256i words = _mm256_srli_epi32(rounded_to_bf16(x), 16);
  __m128i low = _mm256_castsi256_si128(words);
  _mm_storeu_si128(to, _mm_packus_epi32(low, _mm256_extracti128_si256(words, 1)));
}

/*
 * A code moved into a half's sign, lower four exponent bits and upper fraction bits: biases differ
 * by 8. Halves below the normal ones convert as fast as others. Moved into a float such codes would
 * be subnormal, each vector of which costs Intel's cores 150 cycles when it is used; a table or
 * integer arithmetic takes longer (docs/decisions/0020).
 */
INLINE floats f_e4m3_over_256(const void *codes) {
  __m128i wide = _mm_cvtepi8_epi16(_mm_loadl_epi64(codes));
  return _mm256_cvtph_ps(_mm_and_si128(_mm_slli_epi16(wide, 7), _mm_set1_epi16((short)0xBF80)));
}
INLINE void f_e4m3_halves(const void *codes, uint16_t to[32]) {
  const __m256i mask = _mm256_set1_epi16((short)0xBF80);
  for (int i = 0; i < 2; i++) {
    __m256i wide = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)codes + i));
    __m256i halves = _mm256_and_si256(_mm256_slli_epi16(wide, 7), mask);
    _mm256_storeu_si256((__m256i *)to + i, halves);
  }
}
INLINE floats f_load_half(const void *from) {
  return _mm256_cvtph_ps(_mm_loadu_si128(from));
}
INLINE void f_e4m3_tile(const void *codes, floats w[4]) {
  uint16_t halves[32] __attribute__((aligned(32)));
  f_e4m3_halves(codes, halves);
  __asm__ volatile("" : "+m"(halves)); /* see simd.h */
  for (int i = 0; i < 4; i++) {
    w[i] = f_load_half(halves + 8 * i);
  }
}
typedef __m256i marks;
INLINE marks n_zero(void) {
  return _mm256_setzero_si256();
}
INLINE marks n_or_nan(marks seen, const void *codes) {
  __m256i magnitude = _mm256_and_si256(_mm256_loadu_si256(codes), _mm256_set1_epi8(0x7f));
  return _mm256_max_epu8(seen, magnitude);
}
INLINE int n_any(marks seen) {
  __m256i nan = _mm256_cmpeq_epi8(seen, _mm256_set1_epi8(0x7f));
  return !_mm256_testz_si256(nan, nan);
}

INLINE doubles d_zero(void) {
  return _mm256_setzero_pd();
}
INLINE doubles d_set(double x) {
  return _mm256_set1_pd(x);
}
INLINE doubles d_add(doubles a, doubles b) {
  return _mm256_add_pd(a, b);
}
INLINE doubles d_fma(doubles a, doubles b, doubles c) {
  return _mm256_fmadd_pd(a, b, c);
}
INLINE doubles d_low(floats x) {
  return _mm256_cvtps_pd(_mm256_castps256_ps128(x));
}
INLINE doubles d_high(floats x) {
  return _mm256_cvtps_pd(_mm256_extractf128_ps(x, 1));
}
INLINE doubles d_fold(floats x) {
  return _mm256_cvtps_pd(_mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1)));
}
INLINE double d_sum(doubles x) {
  __m256d pairs = _mm256_hadd_pd(x, x);
  return _mm_cvtsd_f64(_mm_add_sd(_mm256_castpd256_pd128(pairs), _mm256_extractf128_pd(pairs, 1)));
}
