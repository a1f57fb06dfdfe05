#include "../kernels.h"

static float element(const struct engram_table *table, int64_t row, int k) {
  int64_t at = row * table->head_dim + k;
  const uint8_t *weight = table->weight;
  switch (table->type) {
    case ENGRAM_F8_E4M3: {
      const uint8_t *scale = table->scale;
      int64_t block = row * engram_blocks(table->head_dim) + k / ENGRAM_BLOCK;
      return engram_e4m3(weight[at]) * engram_e8m0(scale[block]);
    }
    case ENGRAM_BF16:
      return engram_bits_to_float((uint32_t)engram_load16(weight + 2 * at) << 16);
    case ENGRAM_F16:
      return engram_half(engram_load16(weight + 2 * at));
    default:
      return engram_load_float(weight + 4 * at);
  }
}

void engram_scalar_row(const struct engram_table *table, int64_t row, uint8_t *out, int out_type) {
  for (int k = 0; k < table->head_dim; k++) {
    float value = row < 0 ? 0 : element(table, row, k);
    if (out_type == ENGRAM_F32) {
      engram_store_float(out + 4 * (int64_t)k, value);
    } else {
      engram_store16(out + 2 * (int64_t)k, engram_to_bf16(value));
    }
  }
}

void engram_scalar_gather(const struct engram_table *table, const int64_t *row_ids, int64_t count,
                          uint8_t *out, int out_type) {
  int64_t row_bytes = (int64_t)table->head_dim * engram_type_bytes(out_type);
  for (int64_t i = 0; i < count; i++) {
    engram_scalar_row(table, engram_load64(row_ids + i), out + i * row_bytes, out_type);
  }
}
