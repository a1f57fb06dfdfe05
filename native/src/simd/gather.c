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

#define VECTORS (ENGRAM_BLOCK / LANES)

/*
 * Whole blocks of 32. Returns whether a NaN code was seen, whose elements are then wrong: looking
 * at the codes of a block is a third of what it takes to mark each element.
 */
INLINE int fp8_blocks(const uint8_t *codes, const uint8_t *scales, int blocks, uint8_t *out,
                      const int out_type) {
  /* first back to the code's own value, then the scale: one rounding, as the reference has it */
  const floats whole = f_mul(f_power(f_set(CODE_SHIFT)), f_set((float)CODE_REST));
  marks nan = n_zero();
  for (int block = 0; block < blocks; block++) {
    const uint8_t *own = codes + ENGRAM_BLOCK * block;
    floats scale = f_set(engram_e8m0(scales[block]));
    floats w[VECTORS];
    f_e4m3_block(own, w);
    f_in_order(w);
    nan = n_or_nan(nan, own);
    for (int i = 0; i < VECTORS; i++) {
      store(out, out_type, ENGRAM_BLOCK * block + LANES * i, f_mul(f_mul(w[i], whole), scale));
    }
  }
  return n_any(nan);
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
    const uint8_t *from = weight + row * table->weight_stride;
    int nan = 0;
    if (head_dim % ENGRAM_BLOCK != 0) { /* no published model has such rows */
      engram_scalar_row(table, row, own, out_type);
    } else if (table->type == ENGRAM_F8_E4M3) {
      const uint8_t *scales = scale + row * table->scale_stride;
      int blocks = head_dim / ENGRAM_BLOCK;
      nan = out_type == ENGRAM_F32 ? fp8_blocks(from, scales, blocks, own, ENGRAM_F32)
                                   : fp8_blocks(from, scales, blocks, own, ENGRAM_BF16);
    } else {
      plain_row(from, table->type, head_dim, own, out_type);
    }
    if (nan) {
      engram_scalar_row(table, row, own, out_type);
    }
  }
}
