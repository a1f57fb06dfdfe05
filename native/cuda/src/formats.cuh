/* How the device moves numbers, several at once where it can; formats are those of formats.h. */
#ifndef ENGRAM_CUDA_FORMATS_CUH
#define ENGRAM_CUDA_FORMATS_CUH

#include "device.cuh"

#include "../../src/row_types.h"

/* Moved into place a code is a float that lacks 2^120; multiplying a power of two in is exact. */
__device__ inline float engram_moved_e4m3(unsigned code, float power) {
  unsigned sign = (code & 0x80) << 24;
  if ((code & 0x7f) == 0x7f) {
    return engram_bits_to_float(sign | 0x7fc00000u);
  }
  return engram_bits_to_float(sign | (code & 0x7f) << 20) * power;
}

__device__ inline float engram_fast_e4m3(unsigned code) {
  return engram_moved_e4m3(code, 0x1p120f);
}

/* Of a size that keeps products with the largest floats in range. */
__device__ inline float engram_moved_e4m3_over_256(unsigned code) {
  return engram_moved_e4m3(code, 0x1p112f);
}

/* Several numbers that one instruction moves. */
struct alignas(16) engram_four_floats {
  float at[4];
};
struct alignas(8) engram_four_halves {
  unsigned short at[4];
};

__device__ inline bool engram_is_aligned(const void *place, long long stride, int bytes) {
  return ((unsigned long long)place | (unsigned long long)stride) % bytes == 0;
}

/* Bytes of an element of rows that are written, and of streams: F32 or BF16. */
__device__ inline int engram_out_bytes(int type) {
  return type == ENGRAM_F32 ? 4 : 2;
}

/* An element of F32 or BF16 at its natural place. */
__device__ inline float engram_load(const void *from, int type, long long i) {
  return type == ENGRAM_F32 ? ((const float *)from)[i]
                            : engram_bf16(((const unsigned short *)from)[i]);
}

__device__ inline void engram_store(void *to, int type, long long i, float value) {
  if (type == ENGRAM_F32) {
    ((float *)to)[i] = value;
  } else {
    ((unsigned short *)to)[i] = engram_to_bf16(value);
  }
}

/* Four of them at once, where they begin at a multiple of four elements. */
__device__ inline engram_four_floats engram_load4(const void *from, int type, long long i) {
  if (type == ENGRAM_F32) {
    return *(const engram_four_floats *)((const float *)from + i);
  }
  engram_four_halves narrow = *(const engram_four_halves *)((const unsigned short *)from + i);
  engram_four_floats values;
  for (int k = 0; k < 4; k++) {
    values.at[k] = engram_bf16(narrow.at[k]);
  }
  return values;
}

__device__ inline void engram_store4(void *to, int type, long long i, engram_four_floats values) {
  if (type == ENGRAM_F32) {
    *(engram_four_floats *)((float *)to + i) = values;
    return;
  }
  engram_four_halves narrow;
  for (int k = 0; k < 4; k++) {
    narrow.at[k] = engram_to_bf16(values.at[k]);
  }
  *(engram_four_halves *)((unsigned short *)to + i) = narrow;
}

#endif
