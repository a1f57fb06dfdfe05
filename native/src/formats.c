/* Number formats, one value at a time, and exp: no libm, so that every platform gives the same. */
#include "kernels.h"

float engram_e4m3(uint8_t code) {
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

float engram_half(uint16_t bits) {
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

uint16_t engram_to_bf16(float value) {
  uint32_t bits = engram_float_to_bits(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) {
    return (uint16_t)(bits >> 16 | 0x40); /* rounding could carry a NaN into infinity */
  }
  return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* Good to a few units of 1e-16 relative; below -700 it is 0, above 700 infinity. */
double engram_exp(double x) {
  if (x != x) {
    return x;
  }
  if (x < -700) {
    return 0;
  }
  if (x > 700) {
    return __builtin_inf();
  }
  const double magic = 0x1.8p52; /* adding it rounds to an integer in the low bits */
  double shifted = x * 0x1.71547652b82fep0 + magic;
  double n = shifted - magic;
  double r = x - n * 0x1.62e42fefa39efp-1;
  r -= n * 0x1.abc9e3b39803fp-56;
  double sum = 1.0 / 6227020800.0;
  static const double terms[] = {1.0 / 479001600.0,
                                 1.0 / 39916800.0,
                                 1.0 / 3628800.0,
                                 1.0 / 362880.0,
                                 1.0 / 40320.0,
                                 1.0 / 5040.0,
                                 1.0 / 720.0,
                                 1.0 / 120.0,
                                 1.0 / 24.0,
                                 1.0 / 6.0,
                                 0.5,
                                 1.0,
                                 1.0};
  for (int i = 0; i < 13; i++) {
    sum = sum * r + terms[i];
  }
  union {
    uint64_t u;
    double d;
  } power = {(uint64_t)((int64_t)n + 1023) << 52};
  return sum * power.d;
}
