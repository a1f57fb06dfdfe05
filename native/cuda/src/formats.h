/* Number formats on the device, the same to the bit as native/src/formats.c. */
#ifndef ENGRAM_CUDA_FORMATS_H
#define ENGRAM_CUDA_FORMATS_H

#include "device.h"

__device__ inline float of_bits(unsigned bits) {
  float value;
  memcpy(&value, &bits, 4);
  return value;
}

__device__ inline unsigned bits_of(float value) {
  unsigned bits;
  memcpy(&bits, &value, 4);
  return bits;
}

/* Moved into place a code is a float that lacks 2^120; multiplying a power of two in is exact. */
__device__ inline float of_e4m3_times(unsigned code, float power) {
  unsigned sign = (code & 0x80) << 24;
  if ((code & 0x7f) == 0x7f) {
    return of_bits(sign | 0x7fc00000u);
  }
  return of_bits(sign | (code & 0x7f) << 20) * power;
}

__device__ inline float of_e4m3(unsigned code) {
  return of_e4m3_times(code, 0x1p120f);
}

/* Of a size that keeps products with the largest floats in range. */
__device__ inline float of_e4m3_over_256(unsigned code) {
  return of_e4m3_times(code, 0x1p112f);
}

__device__ inline float of_e8m0(unsigned code) {
  return code == 255 ? of_bits(0x7fc00000u) : code == 0 ? 0x1p-127f : of_bits(code << 23);
}

__device__ inline float of_half(unsigned bits) {
  unsigned sign = (bits & 0x8000) << 16;
  unsigned exponent = bits >> 10 & 0x1f;
  unsigned fraction = bits & 0x3ff;
  if (exponent == 0) {
    return (sign ? -1.0f : 1.0f) * (float)fraction * 0x1p-24f;
  }
  if (exponent == 31) {
    return of_bits(sign | 0x7f800000u | fraction << 13 | (fraction ? 0x400000u : 0));
  }
  return of_bits(sign | (exponent + 112) << 23 | fraction << 13);
}

__device__ inline unsigned short to_bf16(float value) {
  unsigned bits = bits_of(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) {
    return (unsigned short)(bits >> 16 | 0x40); /* a NaN stays one */
  }
  return (unsigned short)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

__device__ inline int element_bytes(int type) {
  return type == ENGRAM_F32 ? 4 : type == ENGRAM_F8_E4M3 ? 1 : 2;
}

/* Several numbers that one instruction moves. */
struct alignas(16) four_floats {
  float at[4];
};
struct alignas(8) four_halves {
  unsigned short at[4];
};

__device__ inline bool is_aligned(const void *place, long long stride, int bytes) {
  return ((unsigned long long)place | (unsigned long long)stride) % bytes == 0;
}

__device__ inline float of_bf16(unsigned short bits) {
  return of_bits((unsigned)bits << 16);
}

/* An element of a table's row, which may lie anywhere: byte by byte where it must be. */
__device__ inline float load_anywhere(const unsigned char *from, int type, bool aligned) {
  if (type == ENGRAM_F32) {
    float value;
    if (aligned) {
      return *(const float *)from;
    }
    memcpy(&value, from, 4);
    return value;
  }
  unsigned short bits =
      aligned ? *(const unsigned short *)from : (unsigned short)(from[0] | (unsigned)from[1] << 8);
  return type == ENGRAM_BF16 ? of_bf16(bits) : of_half(bits);
}

/* An element of F32 or BF16 at its natural place. */
__device__ inline float load(const void *from, int type, long long i) {
  return type == ENGRAM_F32 ? ((const float *)from)[i] : of_bf16(((const unsigned short *)from)[i]);
}

__device__ inline void store(void *to, int type, long long i, float value) {
  if (type == ENGRAM_F32) {
    ((float *)to)[i] = value;
  } else {
    ((unsigned short *)to)[i] = to_bf16(value);
  }
}

/* Four of them at once, where they begin at a multiple of four elements. */
__device__ inline four_floats load4(const void *from, int type, long long i) {
  if (type == ENGRAM_F32) {
    return *(const four_floats *)((const float *)from + i);
  }
  four_halves narrow = *(const four_halves *)((const unsigned short *)from + i);
  four_floats values;
  for (int k = 0; k < 4; k++) {
    values.at[k] = of_bf16(narrow.at[k]);
  }
  return values;
}

__device__ inline void store4(void *to, int type, long long i, four_floats values) {
  if (type == ENGRAM_F32) {
    *(four_floats *)((float *)to + i) = values;
    return;
  }
  four_halves narrow;
  for (int k = 0; k < 4; k++) {
    narrow.at[k] = to_bf16(values.at[k]);
  }
  *(four_halves *)((unsigned short *)to + i) = narrow;
}

__device__ inline int type_bytes(int type) {
  return type == ENGRAM_F32 ? 4 : 2;
}

#endif
