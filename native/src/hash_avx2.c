#include "tier_avx2.h"

/*
 * x mod p by one multiplication, for |x| < 2^63 and 2^13 <= p < 2^31.
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

static int fits(const struct engram_layout *layout, int columns) {
  for (int column = 0; column < columns; column++) {
    if (layout->primes[column] < SMALLEST_PRIME || layout->primes[column] > LARGEST_PRIME) {
      return 0;
    }
  }
  return 1;
}

static inline void four(const struct engram_layout *layout, int64_t roll, int column,
                        int64_t *row_ids) {
  const __m256d magic = _mm256_set1_pd(0x1.8p52);
  __m256d x = _mm256_set1_pd((double)roll);
  __m256d inverse = _mm256_loadu_pd(layout->inverses + column);
  __m256i prime = _mm256_loadu_si256((const __m256i *)(layout->primes + column));
  __m256i offset = _mm256_loadu_si256((const __m256i *)(layout->offsets + column));
  __m256i n = _mm256_castpd_si256(_mm256_fmadd_pd(x, inverse, magic));
  __m256i r = _mm256_sub_epi64(_mm256_set1_epi64x(roll), _mm256_mul_epu32(n, prime));
  __m256i signs = _mm256_shuffle_epi32(_mm256_srai_epi32(r, 31), _MM_SHUFFLE(2, 2, 0, 0));
  r = _mm256_add_epi64(r, _mm256_and_si256(signs, prime));
  r = _mm256_and_si256(r, _mm256_set1_epi64x(0xffffffff));
  _mm256_storeu_si256((__m256i *)(row_ids + column), _mm256_add_epi64(r, offset));
}

void engram_avx2_hash(const struct engram_layout *layout, const int32_t *windows, int64_t tokens,
                      int64_t *row_ids) {
  int heads = layout->heads;
  int columns = (layout->max_ngram - 1) * heads;
  if (!fits(layout, columns)) {
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
      int end = column + heads;
      for (; column + 4 <= end; column += 4) {
        four(layout, roll, column, own);
      }
      engram_scalar_hash_columns(layout, roll, column, end, own);
    }
  }
}
