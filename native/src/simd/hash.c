#include "simd.h"

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
