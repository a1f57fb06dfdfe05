#include "../kernels.h"

static void hash_columns(const struct engram_layout *layout, int64_t roll, int from, int to,
                         int64_t *row_ids) {
  for (int column = from; column < to; column++) {
    int64_t prime = layout->primes[column];
    int64_t row = roll % prime;
    row += row < 0 ? prime : 0; /* floor-mod, as NumPy has it */
    engram_store64(row_ids + column, row + layout->offsets[column]);
  }
}

void engram_scalar_hash(const struct engram_layout *layout, const int32_t *windows, int64_t tokens,
                        int64_t *row_ids) {
  int heads = layout->heads;
  int columns = (layout->max_ngram - 1) * heads;
  for (int64_t token = 0; token < tokens; token++) {
    const int32_t *window = windows + token * layout->max_ngram;
    int64_t roll = engram_term(layout, window, 0);
    for (int shift = 1; shift < layout->max_ngram; shift++) {
      roll ^= engram_term(layout, window, shift);
      int from = (shift - 1) * heads;
      hash_columns(layout, roll, from, from + heads, row_ids + token * columns);
    }
  }
}
