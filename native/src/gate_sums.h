/*
 * When a gate's sums may be in float; for C and, where GATE_INLINE says so, for CUDA.
 */
#ifndef ENGRAM_GATE_SUMS_H
#define ENGRAM_GATE_SUMS_H

#ifndef GATE_INLINE
#define GATE_INLINE static inline
#endif

/* A dot product of normed streams and keys below which float sums are not good enough. */
#define GATE_SMALL_DOT 0.01

/*
 * Whether float sums, of squares of stream and key and of their products, will do: no NaN, no
 * infinity, no squares that vanish. And no dot product near zero: the gate takes a root of it, so
 * that an error of 1e-7 of the norms would grow to 1e-5, where it stays at 1e-7 otherwise. About
 * one gate in a hundred is near enough.
 */
GATE_INLINE int gate_sums_will_do(const double sums[3], double hidden) {
  return sums[0] >= 0x1p-60 && sums[0] <= 0x1p120 && sums[1] >= 0x1p-60 && sums[1] <= 0x1p120 &&
         sums[2] * sums[2] * hidden > GATE_SMALL_DOT * GATE_SMALL_DOT * sums[0] * sums[1] &&
         sums[2] >= -0x1p120 && sums[2] <= 0x1p120;
}

#endif
