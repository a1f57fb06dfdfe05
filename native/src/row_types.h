/*
 * The types in which rows of tables and of weights are stored: a line each, as in Java's RowType,
 * which a test holds equal. What decodes an element stands in engram_row_element; tiers have faster
 * ways for some of them.
 */
#ifndef ENGRAM_ROW_TYPES_H
#define ENGRAM_ROW_TYPES_H

#include "../include/engram.h"
#include "formats.h"

/* name; elements and bytes of a block, without a scale beside; where scales lie, and the bytes of a
   block's scale beside; whether scaled values are exact as bf16; whether weights may have it */
#define ENGRAM_ROW_TYPES(X)    \
  X(F32, 1, 4, NONE, 0, 0, 1)  \
  X(BF16, 1, 2, NONE, 0, 1, 1) \
  X(F16, 1, 2, NONE, 0, 0, 0)  \
  X(F8_E4M3, 32, 32, BESIDE, 1, 1, 1)

/* The fields of a type; -1 of none. */
#define ENGRAM_ROW_FIELD(function, field) \
  ENGRAM_INLINE int function(int type) {  \
    switch (type) {                       \
      ENGRAM_ROW_TYPES(field)             \
      default:                            \
        return -1;                        \
    }                                     \
  }
#define ENGRAM_BLOCK_ELEMENTS(name, elements, bytes, scales, size, exact, weight) \
  case ENGRAM_##name:                                                             \
    return elements;
#define ENGRAM_BLOCK_BYTES(name, elements, bytes, scales, size, exact, weight) \
  case ENGRAM_##name:                                                          \
    return bytes;
#define ENGRAM_SCALES(name, elements, bytes, scales, size, exact, weight) \
  case ENGRAM_##name:                                                     \
    return ENGRAM_SCALES_##scales;
#define ENGRAM_SCALE_BYTES(name, elements, bytes, scales, size, exact, weight) \
  case ENGRAM_##name:                                                          \
    return size;
#define ENGRAM_EXACT(name, elements, bytes, scales, size, exact, weight) \
  case ENGRAM_##name:                                                    \
    return exact;
#define ENGRAM_WEIGHT(name, elements, bytes, scales, size, exact, weight) \
  case ENGRAM_##name:                                                     \
    return weight;
ENGRAM_ROW_FIELD(engram_row_block_elements, ENGRAM_BLOCK_ELEMENTS)
ENGRAM_ROW_FIELD(engram_row_block_bytes, ENGRAM_BLOCK_BYTES)
ENGRAM_ROW_FIELD(engram_row_scales, ENGRAM_SCALES)
ENGRAM_ROW_FIELD(engram_row_block_scale_bytes, ENGRAM_SCALE_BYTES)
ENGRAM_ROW_FIELD(engram_row_is_exact, ENGRAM_EXACT)
ENGRAM_ROW_FIELD(engram_row_is_weight, ENGRAM_WEIGHT)

ENGRAM_INLINE int engram_is_row_type(int type) {
  return engram_row_block_elements(type) > 0;
}

ENGRAM_INLINE int engram_has_scales_beside(int type) {
  return engram_row_scales(type) == ENGRAM_SCALES_BESIDE;
}

/* Bytes of so many elements from the start of a block, without scales beside. */
ENGRAM_INLINE int64_t engram_row_bytes(int type, int64_t elements) {
  int64_t block = engram_row_block_elements(type);
  int64_t bytes = engram_row_block_bytes(type);
  return engram_row_scales(type) == ENGRAM_SCALES_IN_ROW ? (elements + block - 1) / block * bytes
                                                         : elements * bytes / block;
}

/* Bytes of the scales of so many elements beside. */
ENGRAM_INLINE int64_t engram_row_scale_bytes(int type, int64_t elements) {
  int64_t block = engram_row_block_elements(type);
  return (elements + block - 1) / block * engram_row_block_scale_bytes(type);
}

/* Blocks of ENGRAM_BLOCK that cover so many inputs or outputs of a weight. */
ENGRAM_INLINE int engram_tiles(int size) {
  return (size + ENGRAM_BLOCK - 1) / ENGRAM_BLOCK;
}

/* An element of a row without its scale; data begins at a block. */
ENGRAM_INLINE float engram_row_code(int type, const uint8_t *data, int64_t k) {
  switch (type) {
    case ENGRAM_F8_E4M3:
      return engram_e4m3(data[k]);
    case ENGRAM_BF16:
      return engram_bf16(engram_load16(data + 2 * k));
    case ENGRAM_F16:
      return engram_half(engram_load16(data + 2 * k));
    default:
      return engram_load_float(data + 4 * k);
  }
}

/* An element of a table's row; scales are those beside, or null. */
ENGRAM_INLINE float engram_row_element(int type, const uint8_t *data, const uint8_t *scales,
                                       int64_t k) {
  float value = engram_row_code(type, data, k);
  return engram_has_scales_beside(type)
             ? value * engram_e8m0(scales[k / engram_row_block_elements(type)])
             : value;
}

#endif
