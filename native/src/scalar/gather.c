#include "../kernels.h"

void engram_scalar_row(const struct engram_table *table, const struct engram_row *row, uint8_t *out,
                       int out_type) {
  for (int k = 0; k < table->head_dim; k++) {
    float value = engram_row_element(table->type, row, table->factor, k);
    engram_stream_store(out, out_type, k, value);
  }
}

void engram_scalar_gather(const struct engram_table *table, const struct engram_row *rows,
                          int64_t count, uint8_t *out, int out_type, int stream) {
  (void)stream;
  int64_t row_bytes = (int64_t)table->head_dim * engram_out_bytes(out_type);
  for (int64_t i = 0; i < count; i++) {
    if (rows[i].weight) {
      engram_scalar_row(table, rows + i, out + i * row_bytes, out_type);
    } else {
      __builtin_memset(out + i * row_bytes, 0, (size_t)row_bytes);
    }
  }
}
