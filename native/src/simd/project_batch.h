/* What the ways of batches share: see project_batch.c. */
#ifndef ENGRAM_PROJECT_BATCH_H
#define ENGRAM_PROJECT_BATCH_H

#include "project_fp8.h"

/* Tokens that go together. */
#define CHUNK 32
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
  float weights[ROWS][GROUP];
  token_sums sums[ENGRAM_BLOCK];
  float inputs[]; /* [groups, tokens, GROUP] */
};

/* The scale of a tile, times what its codes are divided by. */
INLINE float engram_scale_of_codes(uint8_t scale) {
  return engram_bits_to_float((uint32_t)(scale + ENGRAM_CODES_DIVIDED) << 23);
}

/* Adds the sums of a group's lanes. */
INLINE void add_to(double *sums, floats sum) {
  doubles all;
  __builtin_memcpy(&all, sums, sizeof all);
  all = d_add(d_fold(sum), all);
  __builtin_memcpy(sums, &all, sizeof all);
}

#endif
