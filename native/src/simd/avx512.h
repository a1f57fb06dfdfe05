/* AVX-512 F, BW, DQ and VL: 16 floats, two halves of 8 doubles. */
#if !defined(__AVX512F__) || !defined(__AVX512BW__) || !defined(__AVX512DQ__) || \
    !defined(__AVX512VL__) || defined(__AVX512VNNI__) ||                         \
    (defined(__AVX512VBMI__) && !defined(ENGRAM_SIMD_AVX512_BF16) &&             \
     !defined(ENGRAM_SIMD_AMX_BF16))
#error "this tier is built for AVX-512 F, BW, DQ and VL, and for nothing above"
#endif
#include <immintrin.h>

#define TIER(name) engram_avx512_##name
#define LANES 16

typedef __m512 floats;
typedef __m512d doubles;

INLINE floats f_zero(void) {
  return _mm512_setzero_ps();
}
INLINE floats f_set(float x) {
  return _mm512_set1_ps(x);
}
INLINE floats f_load(const void *from) {
  return _mm512_loadu_ps(from);
}
INLINE void f_store(void *to, floats x) {
  _mm512_storeu_ps(to, x);
}
INLINE floats f_add(floats a, floats b) {
  return _mm512_add_ps(a, b);
}
INLINE floats f_mul(floats a, floats b) {
  return _mm512_mul_ps(a, b);
}
INLINE floats f_fma(floats a, floats b, floats c) {
  return _mm512_fmadd_ps(a, b, c);
}

INLINE floats f_load_bf16(const void *from) {
  __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(from));
  return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}
INLINE __m512i rounded_to_bf16(floats x) { /* in the upper halves */
  __m512i bits = _mm512_castps_si512(x);
  __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
  __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
  return _mm512_mask_or_epi32(rounded, nan, bits, _mm512_set1_epi32(0x400000));
}
INLINE void f_store_bf16(void *to, floats x) {
  _mm256_storeu_si256(to, _mm512_cvtepi32_epi16(_mm512_srli_epi32(rounded_to_bf16(x), 16)));
}

/* As in the AVX2 tier. */
INLINE floats f_e4m3_over_256(const void *codes) {
  __m256i wide = _mm256_cvtepi8_epi16(_mm_loadu_si128(codes));
  __m256i half = _mm256_and_si256(_mm256_slli_epi16(wide, 7), _mm256_set1_epi16((short)0xBF80));
  return _mm512_cvtph_ps(half);
}
INLINE floats f_load_half(const void *from) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(from));
}
INLINE void f_e4m3_tile(const void *codes, floats w[2]) {
  __m512i halves;
  __m512i wide = _mm512_cvtepi8_epi16(_mm256_loadu_si256((const void *)codes));
  halves = _mm512_and_si512(_mm512_slli_epi16(wide, 7), _mm512_set1_epi16((short)0xBF80));
  __asm__ volatile("" : "+m"(halves)); /* see simd.h */
  w[0] = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)&halves));
  w[1] = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)&halves + 1));
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
  return _mm256_cmpeq_epi8_mask(seen, _mm256_set1_epi8(0x7f)) != 0;
}

INLINE doubles d_zero(void) {
  return _mm512_setzero_pd();
}
INLINE doubles d_set(double x) {
  return _mm512_set1_pd(x);
}
INLINE doubles d_add(doubles a, doubles b) {
  return _mm512_add_pd(a, b);
}
INLINE doubles d_fma(doubles a, doubles b, doubles c) {
  return _mm512_fmadd_pd(a, b, c);
}
INLINE doubles d_low(floats x) {
  return _mm512_cvtps_pd(_mm512_castps512_ps256(x));
}
INLINE doubles d_high(floats x) {
  return _mm512_cvtps_pd(_mm512_extractf32x8_ps(x, 1));
}
INLINE doubles d_fold(floats x) {
  return _mm512_cvtps_pd(_mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1)));
}
INLINE __m256d fold256(doubles x) {
  return _mm256_add_pd(_mm512_castpd512_pd256(x), _mm512_extractf64x4_pd(x, 1));
}
INLINE double d_sum(doubles x) {
  __m256d four = fold256(x);
  __m256d pairs = _mm256_hadd_pd(four, four);
  return _mm_cvtsd_f64(_mm_add_sd(_mm256_castpd256_pd128(pairs), _mm256_extractf128_pd(pairs, 1)));
}
