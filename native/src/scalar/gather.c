#include "../kernels.h"

static float element(const struct engram_table *table, int64_t row, int k) {
  const uint8_t *weight = (const uint8_t *)table->weight + row * table->weight_stride;
  switch (table->type) {
    case ENGRAM_F8_E4M3: {
      const uint8_t *scale = table->scale;
      uint8_t code = scale[row * table->scale_stride + k / ENGRAM_BLOCK];
      return engram_e4m3(weight[k]) * engram_e8m0(code);
    }
    case ENGRAM_BF16:
      return engram_bits_to_float((uint32_t)engram_load16(weight + 2 * (int64_t)k) << 16);
    case ENGRAM_F16:
      return engram_half(engram_load16(weight + 2 * (int64_t)k));
    default:
      return engram_load_float(weight + 4 * (int64_t)k);
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
                          uint8_t *out, int out_type, int stream) {
  (void)stream;
  int64_t row_bytes = (int64_t)table->head_dim * engram_type_bytes(out_type);
  for (int64_t i = 0; i < count; i++) {
    engram_scalar_row(table, engram_load64(row_ids + i), out + i * row_bytes, out_type);
  }
}
