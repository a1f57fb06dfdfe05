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

__device__ inline float load16(const unsigned char *from, int type) {
  unsigned bits = from[0] | (unsigned)from[1] << 8;
  return type == ENGRAM_BF16 ? of_bits(bits << 16) : of_half(bits);
}

__device__ inline float load32(const unsigned char *from) {
  float value;
  memcpy(&value, from, 4);
  return value;
}

__device__ inline void store(unsigned char *to, long long i, int type, float value) {
  if (type == ENGRAM_F32) {
    memcpy(to + 4 * i, &value, 4);
  } else {
    unsigned short narrow = to_bf16(value);
    memcpy(to + 2 * i, &narrow, 2);
  }
}

#endif
