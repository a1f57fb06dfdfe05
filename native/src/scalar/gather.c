#include "../kernels.h"

void engram_scalar_row(const struct engram_table *table, int64_t row, uint8_t *out, int out_type) {
  const uint8_t *data = (const uint8_t *)table->weight + row * table->weight_stride;
  const uint8_t *scales = table->scale;
  scales = scales ? scales + row * table->scale_stride : NULL;
  for (int k = 0; k < table->head_dim; k++) {
    float value = engram_row_element(table->type, data, scales, k);
    engram_stream_store(out, out_type, k, value);
  }
}

void engram_scalar_gather(const struct engram_table *table, const int64_t *row_ids, int64_t count,
                          uint8_t *out, int out_type, int stream) {
  (void)stream;
  int64_t row_bytes = (int64_t)table->head_dim * engram_out_bytes(out_type);
  for (int64_t i = 0; i < count; i++) {
    if (row_ids[i] < 0) {
      __builtin_memset(out + i * row_bytes, 0, (size_t)row_bytes);
    } else {
      engram_scalar_row(table, row_ids[i], out + i * row_bytes, out_type);
    }
  }
}
