/* AVX-512 F, BW, DQ and VL: 16 floats, two halves of 8 doubles. */
#if !defined(__AVX512F__) || !defined(__AVX512BW__) || !defined(__AVX512DQ__) || \
    !defined(__AVX512VL__) || defined(__AVX512VNNI__) ||                         \
    defined(__AVX512VBMI__) != defined(ENGRAM_SIMD_AVX512_BF16)
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
INLINE void f_stream(void *to, floats x) {
  _mm512_stream_ps(to, x);
}
INLINE void f_stream_end(void) {
  _mm_sfence();
}
INLINE floats f_add(floats a, floats b) {
  return _mm512_add_ps(a, b);
}
INLINE floats f_sub(floats a, floats b) {
  return _mm512_sub_ps(a, b);
}
INLINE floats f_mul(floats a, floats b) {
  return _mm512_mul_ps(a, b);
}
INLINE floats f_div(floats a, floats b) {
  return _mm512_div_ps(a, b);
}
INLINE floats f_min(floats a, floats b) {
  return _mm512_min_ps(a, b);
}
INLINE floats f_max(floats a, floats b) {
  return _mm512_max_ps(a, b);
}
INLINE floats f_or(floats a, floats b) {
  return _mm512_or_ps(a, b);
}
INLINE floats f_fma(floats a, floats b, floats c) {
  return _mm512_fmadd_ps(a, b, c);
}
INLINE floats f_fnma(floats a, floats b, floats c) {
  return _mm512_fnmadd_ps(a, b, c);
}
INLINE floats f_power(floats n) {
  __m512i biased = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
  return _mm512_castsi512_ps(_mm512_slli_epi32(biased, 23));
}

INLINE floats f_load_bf16(const void *from) {
  __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(from));
  return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}
INLINE floats f_load_half(const void *from) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(from));
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
INLINE void f_store2_bf16(void *to, floats x, floats y) {
  const __m512i lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  const __m512i upper = _mm512_add_epi32(_mm512_mullo_epi32(lane, _mm512_set1_epi32(0x40004)),
                                         _mm512_set1_epi32(0x30001));
  _mm512_storeu_si512(to, _mm512_permutex2var_epi16(rounded_to_bf16(x), upper, rounded_to_bf16(y)));
}

/* As in the AVX2 tier. */
INLINE floats f_e4m3_over_256(const void *codes) {
  __m256i wide = _mm256_cvtepi8_epi16(_mm_loadu_si128(codes));
  __m256i half = _mm256_and_si256(_mm256_slli_epi16(wide, 7), _mm256_set1_epi16((short)0xBF80));
  return _mm512_cvtph_ps(half);
}
/* As in the AVX2 tier. */
#define CODE_MISSING 120
INLINE void f_e4m3_block(const void *codes, floats w[2]) {
  __m512i wide = _mm512_slli_epi16(_mm512_cvtepi8_epi16(_mm256_loadu_si256(codes)), 4);
  __m512i words = _mm512_and_si512(wide, _mm512_set1_epi16((short)0x87F0));
  w[0] = _mm512_castsi512_ps(_mm512_unpacklo_epi16(_mm512_setzero_si512(), words));
  w[1] = _mm512_castsi512_ps(_mm512_unpackhi_epi16(_mm512_setzero_si512(), words));
}
/* Widening to 32 bits at once costs the projection more, but here it saves putting into order. */
INLINE void f_e4m3_ordered(const void *codes, floats w[2]) {
  for (int i = 0; i < 2; i++) {
    __m512i wide = _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)codes + i));
    __m512i bits =
        _mm512_and_si512(_mm512_slli_epi32(wide, 20), _mm512_set1_epi32((int)0x87F00000));
    w[i] = _mm512_castsi512_ps(bits);
  }
}
INLINE floats f_load_part(const float *block, int i) {
  const __m512i order = _mm512_setr_epi64(0, 1, 4, 5, 8, 9, 12, 13);
  __m512d first = _mm512_castps_pd(_mm512_loadu_ps(block));
  __m512d second = _mm512_castps_pd(_mm512_loadu_ps(block + 16));
  __m512i own = _mm512_add_epi64(order, _mm512_set1_epi64(2 * i));
  return _mm512_castpd_ps(_mm512_permutex2var_pd(first, own, second));
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

INLINE void f_taps4(const float *taps, floats w[4]) {
  const __m512i even = _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 1, 5, 9, 13, 17, 21, 25, 29);
  const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(2));
  __m512 a = _mm512_loadu_ps(taps);
  __m512 b = _mm512_loadu_ps(taps + 16);
  __m512 c = _mm512_loadu_ps(taps + 32);
  __m512 d = _mm512_loadu_ps(taps + 48);
  __m512 low01 = _mm512_permutex2var_ps(a, even, b); /* taps 0 and 1 of 8 channels */
  __m512 high01 = _mm512_permutex2var_ps(c, even, d);
  __m512 low23 = _mm512_permutex2var_ps(a, odd, b);
  __m512 high23 = _mm512_permutex2var_ps(c, odd, d);
  w[0] = _mm512_shuffle_f32x4(low01, high01, _MM_SHUFFLE(1, 0, 1, 0));
  w[1] = _mm512_shuffle_f32x4(low01, high01, _MM_SHUFFLE(3, 2, 3, 2));
  w[2] = _mm512_shuffle_f32x4(low23, high23, _MM_SHUFFLE(1, 0, 1, 0));
  w[3] = _mm512_shuffle_f32x4(low23, high23, _MM_SHUFFLE(3, 2, 3, 2));
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
INLINE doubles d_mul(doubles a, doubles b) {
  return _mm512_mul_pd(a, b);
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
INLINE void d_store4(float *to, const doubles x[4], const double bias[4]) {
  __m256d first = _mm256_hadd_pd(fold256(x[0]), fold256(x[1]));
  __m256d second = _mm256_hadd_pd(fold256(x[2]), fold256(x[3]));
  __m256d low = _mm256_permute2f128_pd(first, second, 0x20);
  __m256d sums = _mm256_add_pd(low, _mm256_permute2f128_pd(first, second, 0x31));
  _mm_storeu_ps(to, _mm256_cvtpd_ps(_mm256_add_pd(sums, _mm256_loadu_pd(bias))));
}

INLINE void h_rows(int64_t roll, const double *inverse, const long long *prime,
                   const long long *offset, int64_t *out) {
  __m512i p = _mm512_loadu_si512(prime);
  __m512d x = _mm512_set1_pd((double)roll);
  __m512d sum = _mm512_fmadd_pd(x, _mm512_loadu_pd(inverse), _mm512_set1_pd(0x1.8p52));
  __m512i n = _mm512_castpd_si512(sum);
  __m512i r = _mm512_sub_epi64(_mm512_set1_epi64(roll), _mm512_mul_epu32(n, p));
  /* low 32 bits: a negative remainder is large without its sign, and p more is the smaller one */
  r = _mm512_maskz_min_epu32(0x5555, r, _mm512_add_epi32(r, p));
  _mm512_storeu_si512(out, _mm512_add_epi64(r, _mm512_loadu_si512(offset)));
}
