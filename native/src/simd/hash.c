#include "simd.h"

/* LANES / 2 columns of the hash: x mod p + offset, as explained below. */
#if defined(ENGRAM_SIMD_AVX512)
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
#elif defined(ENGRAM_SIMD_AVX2)
INLINE void h_rows(int64_t roll, const double *inverse, const long long *prime,
                   const long long *offset, int64_t *out) {
  __m256i p = _mm256_loadu_si256((const void *)prime);
  __m256d x = _mm256_set1_pd((double)roll);
  __m256d sum = _mm256_fmadd_pd(x, _mm256_loadu_pd(inverse), _mm256_set1_pd(0x1.8p52));
  __m256i n = _mm256_castpd_si256(sum);
  __m256i r = _mm256_sub_epi64(_mm256_set1_epi64x(roll), _mm256_mul_epu32(n, p));
  /* low 32 bits: a negative remainder is large without its sign, and p more is the smaller one */
  r = _mm256_min_epu32(r, _mm256_add_epi32(r, p));
  r = _mm256_and_si256(r, _mm256_set1_epi64x(0xffffffff));
  __m256i first = _mm256_loadu_si256((const void *)offset);
  _mm256_storeu_si256((void *)out, _mm256_add_epi64(r, first));
}
#else /* NEON */
/* Two columns. */
INLINE int64x2_t h_two(int64_t roll, const double *inverse, const long long *prime,
                       const long long *offset) {
  int64x2_t p = vld1q_s64((const int64_t *)prime);
  float64x2_t x = vdupq_n_f64((double)roll);
  float64x2_t sum = vfmaq_f64(vdupq_n_f64(0x1.8p52), x, vld1q_f64(inverse));
  uint32x2_t n = vmovn_u64(vreinterpretq_u64_f64(sum));
  uint32x2_t small = vmovn_u64(vreinterpretq_u64_s64(p));
  uint32x2_t r = vmls_u32(vdup_n_u32((uint32_t)(uint64_t)roll), n, small);
  int64x2_t wide = vmovl_s32(vreinterpret_s32_u32(r));
  wide = vaddq_s64(wide, vandq_s64(vshrq_n_s64(wide, 63), p));
  return vaddq_s64(wide, vld1q_s64((const int64_t *)offset));
}
INLINE void h_rows(int64_t roll, const double *inverse, const long long *prime,
                   const long long *offset, int64_t *out) {
  for (int i = 0; i < 4; i += 2) {
    int64x2_t rows = h_two(roll, inverse + i, prime + i, offset + i);
    vst1q_u8((uint8_t *)(out + i), vreinterpretq_u8_s64(rows));
  }
}
#endif

/*
 * x mod p by one multiplication, for |x| < 2^63 and 2^13 <= p < 2^31, in h_rows.
 *
 * Let q be x / p exactly. The double of x is off by at most |x| 2^-53, 1/p by 2^-53 of itself, so
 * their product (exact inside the FMA) is off by at most |q| 2^-52 (1 + tiny), and |q| <= 2^50: by
 * less than 1/4 and a bit. Adding 1.5 * 2^52 rounds to an integer n, off by 1/2 more, so |n - q| <
 * 0.76, and x - n p lies in (-0.76 p, 0.76 p): 32 bits hold it, computed from the low 32 bits of x,
 * n and p alone. Adding p where it is negative gives the remainder, floor-mod for negative x too.
 * n sits in the low bits of the sum's mantissa, as |n| < 2^51.
 */
#define SMALLEST_PRIME (1LL << 13)
#define LARGEST_PRIME ((1LL << 31) - 1)

#define COLUMNS (LANES / 2)

/* Without branches, so that compilers make vectors of it: one token's columns take as long. */
static int fits(const struct engram_layout *layout, int columns) {
  int strange = layout->heads < COLUMNS;
  for (int column = 0; column < columns; column++) {
    uint64_t above = (uint64_t)layout->primes[column] - SMALLEST_PRIME;
    strange |= above > LARGEST_PRIME - SMALLEST_PRIME;
  }
  return !strange;
}

void TIER(hash)(const struct engram_layout *layout, const int32_t *windows, int64_t tokens,
                int64_t *row_ids) {
  int heads = layout->heads;
  int columns = (layout->max_ngram - 1) * heads;
  if (!fits(layout, columns)) { /* a model for tests, or with few heads */
    engram_scalar_hash(layout, windows, tokens, row_ids);
    return;
  }
  for (int64_t token = 0; token < tokens; token++) {
    const int32_t *window = windows + token * layout->max_ngram;
    int64_t *own = row_ids + token * columns;
    int64_t roll = engram_term(layout, window, 0);
    for (int shift = 1; shift < layout->max_ngram; shift++) {
      roll ^= engram_term(layout, window, shift);
      int column = (shift - 1) * heads;
      int last = column + heads - COLUMNS;
      for (;;) {
        h_rows(roll, layout->inverses + column, layout->primes + column, layout->offsets + column,
               own + column);
        if (column == last) {
          break;
        }
        column = column + COLUMNS < last ? column + COLUMNS : last; /* the last ones may overlap */
      }
    }
  }
}
