/* What the ways of batches share: see project_batch.c. */
#ifndef ENGRAM_PROJECT_BATCH_H
#define ENGRAM_PROJECT_BATCH_H

#include "project_fp8.h"

/*
 * By measurement, in each tier:
 *   CHUNK        tokens that go together
 *   AT_ONCE      vectors of inputs that the inner loop takes at once
 *   MOST_OF_FEW  up to so many tokens, fp8 weights go another way
 */
#if defined(ENGRAM_SIMD_AVX512)
#define CHUNK 32
#define AT_ONCE 1
#define MOST_OF_FEW 12
#elif defined(ENGRAM_SIMD_AVX2)
#define CHUNK 64
#define AT_ONCE 4
#define MOST_OF_FEW 8
#else
#define CHUNK 32
#define AT_ONCE 1
#define MOST_OF_FEW 0
#endif
#define GROUP ENGRAM_PROJECT_GROUP

/* Rows that are decoded together. */
#define ROWS 8

/* Rows and tokens whose sums stay in registers. */
#define FEW_ROWS 4
#if defined(ENGRAM_SIMD_AVX512)
#define FEW_TOKENS 6
#else
#define FEW_TOKENS 3
#endif

typedef double token_sums[CHUNK][LANES / 2];

struct scratch {
  float weights[ROWS][GROUP]; /* or as many halves */
  token_sums sums[ENGRAM_BLOCK];
  float inputs[]; /* [groups, tokens, GROUP] */
};

/* The scale of a tile, times what its codes are divided by. */
INLINE float engram_scale_of_codes(uint8_t scale) {
  return engram_bits_to_float((uint32_t)(scale + ENGRAM_CODES_DIVIDED) << 23);
}

/* Inputs times their tiles' scales, and what codes are divided by: for all rows of the tiles. */
INLINE void scale_inputs(const float *in, int64_t stride, const uint8_t *scales, int64_t inputs,
                         int tokens, float (*to)[GROUP]) {
  for (int token = 0; token < tokens; token++) {
    const float *own = in + token * stride;
    for (int64_t k = 0; k < inputs; k += ENGRAM_BLOCK) {
      floats scale = f_set(engram_scale_of_codes(scales[k / ENGRAM_BLOCK]));
      for (int i = 0; i < ENGRAM_BLOCK; i += LANES) {
        f_store(to[token] + k + i, f_mul(f_load(own + k + i), scale));
      }
    }
  }
}

/* Adds the sums of a group's lanes. */
INLINE void add_to(double *sums, floats sum) {
  doubles all;
  __builtin_memcpy(&all, sums, sizeof all);
  all = d_add(d_fold(sum), all);
  __builtin_memcpy(sums, &all, sizeof all);
}

#endif
