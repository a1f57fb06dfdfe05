/*
 * The types in which rows of tables and of weights are stored: a line each, as in Java's RowType,
 * which a test holds equal. What decodes an element stands in engram_row_code and
 * engram_row_element; tiers have faster ways for some of them.
 */
#ifndef ENGRAM_ROW_TYPES_H
#define ENGRAM_ROW_TYPES_H

#include "../include/engram.h"
#include "blocks.h"
#include "formats.h"

/* name; elements and bytes of a block, without scales beside; where scales lie, and the bytes of a
   block's scale, and of its bias, beside; whether scaled values are exact as bf16; whether weights
   may have it */
#define ENGRAM_ROW_TYPES(X)                   \
  X(F32, 1, 4, NONE, 0, 0, 0, 1)              \
  X(BF16, 1, 2, NONE, 0, 0, 1, 1)             \
  X(F16, 1, 2, NONE, 0, 0, 0, 1)              \
  X(F8_E4M3, 32, 32, BESIDE, 1, 0, 1, 1)      \
  X(F8_E4M3_TENSOR, 1, 1, TENSOR, 0, 0, 1, 0) \
  X(F4_E2M1, 16, 8, BESIDE, 1, 0, 1, 0)       \
  X(AFFINE4_64, 64, 32, BESIDE, 2, 2, 1, 0)   \
  X(AFFINE4_32, 32, 16, BESIDE, 2, 2, 1, 0)   \
  X(Q8_0, 32, 34, IN_ROW, 0, 0, 0, 1)         \
  X(Q4_0, 32, 18, IN_ROW, 0, 0, 0, 1)         \
  X(Q4_1, 32, 20, IN_ROW, 0, 0, 0, 1)         \
  X(Q5_0, 32, 22, IN_ROW, 0, 0, 0, 1)         \
  X(Q5_1, 32, 24, IN_ROW, 0, 0, 0, 1)         \
  X(IQ4_NL, 32, 18, IN_ROW, 0, 0, 0, 1)       \
  X(MXFP4, 32, 17, IN_ROW, 0, 0, 1, 1)        \
  X(NVFP4, 64, 36, IN_ROW, 0, 0, 1, 1)        \
  X(Q1_0, 128, 18, IN_ROW, 0, 0, 0, 1)        \
  X(Q2_0, 64, 18, IN_ROW, 0, 0, 0, 1)         \
  X(Q2_K, 256, 84, IN_ROW, 0, 0, 0, 1)        \
  X(Q3_K, 256, 110, IN_ROW, 0, 0, 0, 1)       \
  X(Q4_K, 256, 144, IN_ROW, 0, 0, 0, 1)       \
  X(Q5_K, 256, 176, IN_ROW, 0, 0, 0, 1)       \
  X(Q6_K, 256, 210, IN_ROW, 0, 0, 0, 1)       \
  X(IQ4_XS, 256, 136, IN_ROW, 0, 0, 0, 1)

/* The fields of a type; -1 of none. */
#define ENGRAM_ROW_FIELD(function, field) \
  ENGRAM_INLINE int function(int type) {  \
    switch (type) {                       \
      ENGRAM_ROW_TYPES(field)             \
      default:                            \
        return -1;                        \
    }                                     \
  }
#define ENGRAM_BLOCK_ELEMENTS(name, elements, bytes, scales, size, bias, exact, weight) \
  case ENGRAM_##name:                                                                   \
    return elements;
#define ENGRAM_BLOCK_BYTES(name, elements, bytes, scales, size, bias, exact, weight) \
  case ENGRAM_##name:                                                                \
    return bytes;
#define ENGRAM_SCALES(name, elements, bytes, scales, size, bias, exact, weight) \
  case ENGRAM_##name:                                                           \
    return ENGRAM_SCALES_##scales;
#define ENGRAM_SCALE_BYTES(name, elements, bytes, scales, size, bias, exact, weight) \
  case ENGRAM_##name:                                                                \
    return size;
#define ENGRAM_BIAS_BYTES(name, elements, bytes, scales, size, bias, exact, weight) \
  case ENGRAM_##name:                                                               \
    return bias;
#define ENGRAM_EXACT(name, elements, bytes, scales, size, bias, exact, weight) \
  case ENGRAM_##name:                                                          \
    return exact;
#define ENGRAM_WEIGHT(name, elements, bytes, scales, size, bias, exact, weight) \
  case ENGRAM_##name:                                                           \
    return weight;
ENGRAM_ROW_FIELD(engram_row_block_elements, ENGRAM_BLOCK_ELEMENTS)
ENGRAM_ROW_FIELD(engram_row_block_bytes, ENGRAM_BLOCK_BYTES)
ENGRAM_ROW_FIELD(engram_row_scales, ENGRAM_SCALES)
ENGRAM_ROW_FIELD(engram_row_block_scale_bytes, ENGRAM_SCALE_BYTES)
ENGRAM_ROW_FIELD(engram_row_block_bias_bytes, ENGRAM_BIAS_BYTES)
ENGRAM_ROW_FIELD(engram_row_is_exact, ENGRAM_EXACT)
ENGRAM_ROW_FIELD(engram_row_is_weight, ENGRAM_WEIGHT)

ENGRAM_INLINE int engram_is_row_type(int type) {
  return engram_row_block_elements(type) > 0;
}

ENGRAM_INLINE int engram_has_scales_beside(int type) {
  return engram_row_scales(type) == ENGRAM_SCALES_BESIDE;
}

/* The blocks of so many elements, the last perhaps cut short. */
ENGRAM_INLINE int64_t engram_row_blocks(int type, int64_t elements) {
  int64_t block = engram_row_block_elements(type);
  return (elements + block - 1) / block;
}

/* Bytes of so many elements from the start of a block, without scales beside. Where scales lie in
   the row, blocks are whole; codes beside them end with the last byte that has one. */
ENGRAM_INLINE int64_t engram_row_bytes(int type, int64_t elements) {
  int64_t block = engram_row_block_elements(type);
  int64_t bytes = engram_row_block_bytes(type);
  return engram_row_scales(type) == ENGRAM_SCALES_IN_ROW ? engram_row_blocks(type, elements) * bytes
                                                         : (elements * bytes + block - 1) / block;
}

/* Bytes of the scales, and of the biases, of so many elements beside. */
ENGRAM_INLINE int64_t engram_row_scale_bytes(int type, int64_t elements) {
  return engram_row_blocks(type, elements) * engram_row_block_scale_bytes(type);
}
ENGRAM_INLINE int64_t engram_row_bias_bytes(int type, int64_t elements) {
  return engram_row_blocks(type, elements) * engram_row_block_bias_bytes(type);
}

/* Blocks of ENGRAM_BLOCK that cover so many inputs or outputs of a weight. */
ENGRAM_INLINE int engram_tiles(int size) {
  return (size + ENGRAM_BLOCK - 1) / ENGRAM_BLOCK;
}

#define ENGRAM_OF_BLOCK(name, elements, bytes) \
  name(data + k / (elements) * (bytes), (int)(k % (elements)))

/* An element of a row without scales beside; data begins at a block. */
ENGRAM_INLINE float engram_row_code(int type, const uint8_t *data, int64_t k) {
  switch (type) {
    case ENGRAM_F8_E4M3:
    case ENGRAM_F8_E4M3_TENSOR:
      return engram_e4m3(data[k]);
    case ENGRAM_BF16:
      return engram_bf16(engram_load16(data + 2 * k));
    case ENGRAM_F16:
      return engram_half(engram_load16(data + 2 * k));
    case ENGRAM_F4_E2M1:
      return 0.5f * (float)engram_e2m1_doubled(data[k / 2] >> 4 * (k % 2) & 15);
    case ENGRAM_AFFINE4_64:
    case ENGRAM_AFFINE4_32:
      return (float)(data[k / 2] >> 4 * (k % 2) & 15);
    case ENGRAM_Q8_0:
      return ENGRAM_OF_BLOCK(engram_q8_0, 32, 34);
    case ENGRAM_Q4_0:
      return ENGRAM_OF_BLOCK(engram_q4_0, 32, 18);
    case ENGRAM_Q4_1:
      return ENGRAM_OF_BLOCK(engram_q4_1, 32, 20);
    case ENGRAM_Q5_0:
      return ENGRAM_OF_BLOCK(engram_q5_0, 32, 22);
    case ENGRAM_Q5_1:
      return ENGRAM_OF_BLOCK(engram_q5_1, 32, 24);
    case ENGRAM_IQ4_NL:
      return ENGRAM_OF_BLOCK(engram_iq4_nl, 32, 18);
    case ENGRAM_MXFP4:
      return ENGRAM_OF_BLOCK(engram_mxfp4, 32, 17);
    case ENGRAM_NVFP4:
      return ENGRAM_OF_BLOCK(engram_nvfp4, 64, 36);
    case ENGRAM_Q1_0:
      return ENGRAM_OF_BLOCK(engram_q1_0, 128, 18);
    case ENGRAM_Q2_0:
      return ENGRAM_OF_BLOCK(engram_q2_0, 64, 18);
    case ENGRAM_Q2_K:
      return ENGRAM_OF_BLOCK(engram_q2_k, 256, 84);
    case ENGRAM_Q3_K:
      return ENGRAM_OF_BLOCK(engram_q3_k, 256, 110);
    case ENGRAM_Q4_K:
      return ENGRAM_OF_BLOCK(engram_q4_k, 256, 144);
    case ENGRAM_Q5_K:
      return ENGRAM_OF_BLOCK(engram_q5_k, 256, 176);
    case ENGRAM_Q6_K:
      return ENGRAM_OF_BLOCK(engram_q6_k, 256, 210);
    case ENGRAM_IQ4_XS:
      return ENGRAM_OF_BLOCK(engram_iq4_xs, 256, 136);
    default:
      return engram_load_float(data + 4 * k);
  }
}

ENGRAM_INLINE float engram_rounded_to_bf16(float value) {
  return engram_bf16(engram_to_bf16(value));
}

/* Where a row's elements lie, and its scales and biases, if its type has them beside. */
struct engram_row {
  const uint8_t *weight;
  const uint8_t *scale;
  const uint8_t *bias;
};

/* Where a row lies, whose id has been checked. Shards are nearly always of equal length, so that
   the guess is right or next to it. */
ENGRAM_INLINE struct engram_row engram_row_at(const struct engram_table *table, int64_t row) {
  struct engram_shard in = {0, table->weight, table->scale, table->bias};
  if (table->shards) {
    const struct engram_shard *shard = table->shard;
    int64_t at = row / ((table->rows + table->shards - 1) / table->shards);
    while (row < shard[at].first) {
      at--;
    }
    while (row >= shard[at + 1].first) {
      at++;
    }
    in = shard[at];
  }
  int64_t own = row - in.first;
  struct engram_row found = {
      (const uint8_t *)in.weight + own * table->weight_stride,
      in.scale ? (const uint8_t *)in.scale + own * table->scale_stride : (const uint8_t *)0,
      in.bias ? (const uint8_t *)in.bias + own * table->bias_stride : (const uint8_t *)0};
  return found;
}

/* An element of a table's row; factor is the table's. */
ENGRAM_INLINE float engram_row_element(int type, const struct engram_row *row, float factor,
                                       int64_t k) {
  float value = engram_row_code(type, row->weight, k);
  switch (type) {
    case ENGRAM_F8_E4M3:
      return value * engram_e8m0(row->scale[k / ENGRAM_BLOCK]);
    case ENGRAM_F8_E4M3_TENSOR:
      return engram_rounded_to_bf16(value * factor);
    case ENGRAM_F4_E2M1:
      return engram_rounded_to_bf16(value * engram_e4m3(row->scale[k / 16]) * factor);
    case ENGRAM_AFFINE4_64:
    case ENGRAM_AFFINE4_32: {
      int64_t at = 2 * (k / engram_row_block_elements(type));
      float scaled = value * engram_bf16(engram_load16(row->scale + at));
      float moved = scaled + engram_bf16(engram_load16(row->bias + at));
      float rounded = engram_rounded_to_bf16(moved);
      return factor == 1 ? rounded : engram_rounded_to_bf16(rounded * factor);
    }
    default:
      return value;
  }
}

#endif
