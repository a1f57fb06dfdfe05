/* The gate from its sums (docs/spec.md, section 7), and when sums may be in float; for C and CUDA.
 */
#ifndef ENGRAM_GATE_FORMULA_H
#define ENGRAM_GATE_FORMULA_H

#include "formats.h"

/* A dot product of normed streams and keys below which float sums are not good enough. */
#define ENGRAM_GATE_SMALL_DOT 0.01

/*
 * Whether float sums, of squares of stream and key and of their products, will do: no NaN, no
 * infinity, no squares that vanish. And no dot product near zero: the gate takes a root of it, so
 * that an error of 1e-7 of the norms would grow to 1e-5, where it stays at 1e-7 otherwise. About
 * one gate in a hundred is near enough.
 */
ENGRAM_INLINE int engram_gate_sums_will_do(const double sums[3], double hidden) {
  const double small = ENGRAM_GATE_SMALL_DOT * ENGRAM_GATE_SMALL_DOT;
  return sums[0] >= 0x1p-60 && sums[0] <= 0x1p120 && sums[1] >= 0x1p-60 && sums[1] <= 0x1p120 &&
         sums[2] * sums[2] * hidden > small * sums[0] * sums[1] && sums[2] >= -0x1p120 &&
         sums[2] <= 0x1p120;
}

/* Once per token and branch, so in double. */
ENGRAM_INLINE float engram_gate_of(int hidden, float weight_eps, int zero_is_half,
                                   const double sums[3]) {
  double size = hidden;
  double eps = weight_eps;
  /* two roots, not one of the product: both means can be as small as eps, 1e-20 */
  double norms = ENGRAM_SQRT(sums[0] / size + eps) * ENGRAM_SQRT(sums[1] / size + eps);
  double dot = sums[2] / norms / ENGRAM_SQRT(size);
  double root = 0;
  if (dot != 0 || !zero_is_half) {
    double magnitude = ENGRAM_ABS(dot);
    /* written so that a NaN stays one */
    root = ENGRAM_COPYSIGN(ENGRAM_SQRT(magnitude < 1e-6 ? 1e-6 : magnitude), dot);
  }
  return (float)(1 / (1 + engram_exp(-root)));
}

/* x / (1 + e^-x), which the convolution ends with. */
ENGRAM_INLINE float engram_silu(float x) {
  return (float)(x / (1 + engram_exp(-(double)x)));
}

#endif
