/*
 * Number formats, one value at a time, exp and the loads and stores of any alignment: once for C
 * and for CUDA. No libm, so that every platform gives the same bits.
 */
#ifndef ENGRAM_FORMATS_H
#define ENGRAM_FORMATS_H

#include <stdint.h>

#if defined(__cplusplus) /* CUDA, or its shim */
#include <math.h>
#include <string.h>
#define ENGRAM_INLINE __host__ __device__ inline
#define ENGRAM_COPY memcpy
#define ENGRAM_SQRT sqrt
#define ENGRAM_ABS fabs
#define ENGRAM_COPYSIGN copysign
#else
#define ENGRAM_INLINE static inline
#define ENGRAM_COPY __builtin_memcpy
#define ENGRAM_SQRT __builtin_sqrt
#define ENGRAM_ABS __builtin_fabs
#define ENGRAM_COPYSIGN __builtin_copysign
#endif

/* Loads and stores of any alignment; the compiler makes one instruction of each. */
#define ENGRAM_LOAD(name, type)            \
  ENGRAM_INLINE type name(const void *p) { \
    type value;                            \
    ENGRAM_COPY(&value, p, sizeof value);  \
    return value;                          \
  }
#define ENGRAM_STORE(name, type)                 \
  ENGRAM_INLINE void name(void *p, type value) { \
    ENGRAM_COPY(p, &value, sizeof value);        \
  }
ENGRAM_LOAD(engram_load16, uint16_t)
ENGRAM_LOAD(engram_load32, int32_t)
ENGRAM_LOAD(engram_load64, int64_t)
ENGRAM_LOAD(engram_load_float, float)
ENGRAM_STORE(engram_store16, uint16_t)
ENGRAM_STORE(engram_store64, int64_t)
ENGRAM_STORE(engram_store_float, float)

ENGRAM_INLINE float engram_bits_to_float(uint32_t bits) {
  return engram_load_float(&bits);
}

ENGRAM_INLINE uint32_t engram_float_to_bits(float value) {
  return (uint32_t)engram_load32(&value);
}

ENGRAM_INLINE double engram_bits_to_double(uint64_t bits) {
  double value;
  ENGRAM_COPY(&value, &bits, sizeof value);
  return value;
}

/* The upper half of a float. */
ENGRAM_INLINE float engram_bf16(uint16_t bits) {
  return engram_bits_to_float((uint32_t)bits << 16);
}

/* Nearest, ties to even; a NaN stays one. */
ENGRAM_INLINE uint16_t engram_to_bf16(float value) {
  uint32_t bits = engram_float_to_bits(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) {
    return (uint16_t)(bits >> 16 | 0x40); /* rounding could carry a NaN into infinity */
  }
  return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* IEEE half precision. */
ENGRAM_INLINE float engram_half(uint16_t bits) {
  uint32_t sign = (uint32_t)(bits & 0x8000) << 16;
  uint32_t exponent = bits >> 10 & 0x1f;
  uint32_t fraction = bits & 0x3ff;
  if (exponent == 0) {
    return (sign ? -1.0f : 1.0f) * (float)fraction * 0x1p-24f;
  }
  if (exponent == 31) {
    uint32_t quiet = fraction ? 0x400000u : 0;
    return engram_bits_to_float(sign | 0x7f800000u | fraction << 13 | quiet);
  }
  return engram_bits_to_float(sign | (exponent + 112) << 23 | fraction << 13);
}

/* Sign, 4 exponent bits with bias 7, 3 of fraction; no infinities. */
ENGRAM_INLINE float engram_e4m3(uint8_t code) {
  uint32_t sign = (uint32_t)(code & 0x80) << 24;
  uint32_t magnitude = code & 0x7f;
  if (magnitude == 0x7f) {
    return engram_bits_to_float(sign | 0x7fc00000u);
  }
  if (magnitude < 8) { /* subnormal: a multiple of 2^-9 */
    return (sign ? -1.0f : 1.0f) * (float)magnitude * 0x1p-9f;
  }
  return engram_bits_to_float(sign | ((magnitude << 20) + (120u << 23)));
}

/* 2^(code - 127), as the reference has it: 0 is 2^-127, 255 is NaN. */
ENGRAM_INLINE float engram_e8m0(uint8_t code) {
  uint32_t bits = code == 255 ? 0x7fc00000u : (uint32_t)code << 23;
  return engram_bits_to_float(code == 0 ? 0x00400000u : bits); /* 2^-127 is no normal float */
}

/* The same as a double: exact, and without the branch that a float's least value needs. */
ENGRAM_INLINE double engram_e8m0_double(uint8_t code) {
  return engram_bits_to_double(code == 255 ? 0x7ff8000000000000u
                                           : (uint64_t)(code + 1023 - 127) << 52);
}

/* Good to a few units of 1e-16 relative; below -700 it is 0, above 700 infinity. */
ENGRAM_INLINE double engram_exp(double x) {
  if (x != x) {
    return x;
  }
  if (x < -700) {
    return 0;
  }
  if (x > 700) {
    return engram_bits_to_double((uint64_t)0x7ff << 52);
  }
  const double magic = 0x1.8p52; /* adding it rounds to an integer in the low bits */
  double shifted = x * 0x1.71547652b82fep0 + magic;
  double n = shifted - magic;
  double r = x - n * 0x1.62e42fefa39efp-1;
  r -= n * 0x1.abc9e3b39803fp-56;
  double sum = 1.0 / 6227020800.0;
  sum = sum * r + 1.0 / 479001600.0;
  sum = sum * r + 1.0 / 39916800.0;
  sum = sum * r + 1.0 / 3628800.0;
  sum = sum * r + 1.0 / 362880.0;
  sum = sum * r + 1.0 / 40320.0;
  sum = sum * r + 1.0 / 5040.0;
  sum = sum * r + 1.0 / 720.0;
  sum = sum * r + 1.0 / 120.0;
  sum = sum * r + 1.0 / 24.0;
  sum = sum * r + 1.0 / 6.0;
  sum = sum * r + 0.5;
  sum = sum * r + 1.0;
  sum = sum * r + 1.0;
  return sum * engram_bits_to_double((uint64_t)((int64_t)n + 1023) << 52);
}

#endif
