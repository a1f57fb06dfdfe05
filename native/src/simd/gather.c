#include "simd.h"

#define LINE 64

static void touch(const uint8_t *from, int64_t bytes, uint32_t *sink) {
  for (int64_t at = 0; at < bytes; at += LINE) {
    *sink ^= from[at];
  }
  *sink ^= from[bytes - 1];
}

/*
 * The misses of a whole token are issued together, by loads, before any row is decoded: decoding
 * fills the reorder buffer, so with one row at a time only one row's misses would be under way.
 */
static void issue_misses(const struct engram_table *table, const int64_t *row_ids, int64_t count) {
  const uint8_t *weight = table->weight;
  const uint8_t *scale = table->scale;
  int64_t bytes = (int64_t)table->head_dim * engram_type_bytes(table->type);
  int64_t scales = engram_blocks(table->head_dim);
  uint32_t sink = 0;
  for (int64_t i = 0; i < count; i++) {
    int64_t row = engram_load64(row_ids + i);
    if (row < 0) {
      continue;
    }
    touch(weight + row * table->weight_stride, bytes, &sink);
    if (scale) {
      touch(scale + row * table->scale_stride, scales, &sink);
    }
  }
  __asm__ volatile("" : : "r"(sink)); /* the loads must not be dropped */
}

INLINE void store(uint8_t *out, int out_type, int k, floats values) {
  if (out_type == ENGRAM_F32) {
    f_store(out + 4 * (int64_t)k, values);
  } else {
    f_store_bf16(out + 2 * (int64_t)k, values);
  }
}

static void fp8_row(const uint8_t *codes, const uint8_t *scales, int head_dim, uint8_t *out,
                    int out_type) {
  for (int k = 0; k + LANES <= head_dim; k += LANES) {
    /* first back to the code's own value, then the scale: one rounding, as the reference has it */
    floats value = f_mul(f_e4m3_over_256(codes + k), f_set(256));
    floats scaled = f_mul(value, f_set(engram_e8m0(scales[k / ENGRAM_BLOCK])));
    store(out, out_type, k, f_or(scaled, f_e4m3_nan(codes + k)));
  }
}

static void plain_row(const uint8_t *data, int type, int head_dim, uint8_t *out, int out_type) {
  for (int k = 0; k + LANES <= head_dim; k += LANES) {
    const uint8_t *from = data + (int64_t)k * engram_type_bytes(type);
    store(out, out_type, k,
          type == ENGRAM_F32    ? f_load(from)
          : type == ENGRAM_BF16 ? f_load_bf16(from)
                                : f_load_half(from));
  }
}

void TIER(gather)(const struct engram_table *table, const int64_t *row_ids, int64_t count,
                  uint8_t *out, int out_type) {
  int head_dim = table->head_dim;
  int64_t row_bytes = (int64_t)head_dim * engram_type_bytes(out_type);
  const uint8_t *weight = table->weight;
  const uint8_t *scale = table->scale;
  issue_misses(table, row_ids, count);
  for (int64_t i = 0; i < count; i++) {
    int64_t row = engram_load64(row_ids + i);
    uint8_t *own = out + i * row_bytes;
    if (row < 0) {
      __builtin_memset(own, 0, (size_t)row_bytes);
      continue;
    }
    if (head_dim % LANES != 0) { /* no published model has such rows */
      engram_scalar_row(table, row, own, out_type);
      continue;
    }
    const uint8_t *from = weight + row * table->weight_stride;
    if (table->type == ENGRAM_F8_E4M3) {
      fp8_row(from, scale + row * table->scale_stride, head_dim, own, out_type);
    } else {
      plain_row(from, table->type, head_dim, own, out_type);
    }
  }
}
