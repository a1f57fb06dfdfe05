#include "tier_avx2.h"

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
    touch(weight + row * bytes, bytes, &sink);
    if (scale) {
      touch(scale + row * scales, scales, &sink);
    }
  }
  __asm__ volatile("" : : "r"(sink)); /* the loads must not be dropped */
}

static inline void store(uint8_t *out, int out_type, int k, __m256 values) {
  if (out_type == ENGRAM_F32) {
    _mm256_storeu_ps((float *)(void *)(out + 4 * (int64_t)k), values);
  } else {
    _mm_storeu_si128((__m128i *)(void *)(out + 2 * (int64_t)k), engram_floats_to_bf16(values));
  }
}

static void fp8_row(const uint8_t *codes, const uint8_t *scales, int head_dim, uint8_t *out,
                    int out_type) {
  const __m256 to_unit = _mm256_set1_ps(256);
  for (int k = 0; k + 8 <= head_dim; k += 8) {
    __m128i eight = _mm_loadl_epi64((const __m128i *)(const void *)(codes + k));
    __m256 scale = _mm256_set1_ps(engram_e8m0(scales[k / ENGRAM_BLOCK]));
    /* first back to the code's own value, then the scale: one rounding, as the reference has it */
    __m256 value = _mm256_mul_ps(engram_e4m3_over_256(eight), to_unit);
    __m256 nan = engram_e4m3_nan(eight);
    store(out, out_type, k, _mm256_or_ps(_mm256_mul_ps(value, scale), nan));
  }
}

static void half_row(const uint8_t *halves, int bf16, int head_dim, uint8_t *out, int out_type) {
  for (int k = 0; k + 8 <= head_dim; k += 8) {
    __m128i eight = _mm_loadu_si128((const __m128i *)(const void *)(halves + 2 * (int64_t)k));
    store(out, out_type, k, bf16 ? engram_bf16_to_floats(eight) : _mm256_cvtph_ps(eight));
  }
}

static void float_row(const uint8_t *floats, int head_dim, uint8_t *out, int out_type) {
  for (int k = 0; k + 8 <= head_dim; k += 8) {
    store(out, out_type, k,
          _mm256_loadu_ps((const float *)(const void *)(floats + 4 * (int64_t)k)));
  }
}

void engram_avx2_gather(const struct engram_table *table, const int64_t *row_ids, int64_t count,
                        uint8_t *out, int out_type) {
  int head_dim = table->head_dim;
  int64_t row_bytes = (int64_t)head_dim * engram_type_bytes(out_type);
  int64_t bytes = (int64_t)head_dim * engram_type_bytes(table->type);
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
    if (head_dim % 8 != 0) { /* no published model has such rows */
      engram_scalar_row(table, row, own, out_type);
      continue;
    }
    const uint8_t *from = weight + row * bytes;
    if (table->type == ENGRAM_F8_E4M3) {
      fp8_row(from, scale + row * engram_blocks(head_dim), head_dim, own, out_type);
    } else if (table->type == ENGRAM_F32) {
      float_row(from, head_dim, own, out_type);
    } else {
      half_row(from, table->type == ENGRAM_BF16, head_dim, own, out_type);
    }
  }
}
