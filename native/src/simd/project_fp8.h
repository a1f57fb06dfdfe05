/* The way of ordinary fp8 projections; see project_fp8.c. Inputs are whole tiles. */
#ifndef ENGRAM_PROJECT_FP8_H
#define ENGRAM_PROJECT_FP8_H

#include "simd.h"

/* Tokens and rows at a time; rows are of one row of scales. */
#define ENGRAM_PROJECT_TOKENS 4
#define ENGRAM_PROJECT_ROWS 8

/* Inputs of which lanes add products in float before they go on in double. */
#define ENGRAM_PROJECT_GROUP (16 * ENGRAM_BLOCK)

/* Codes come divided by 2^8. */
#define ENGRAM_CODES_DIVIDED 8

/* Whether no number is so large or small that the short way would lose digits of it. */
int TIER(ordinary_inputs)(const float *in, int64_t inputs);
int TIER(ordinary_scales)(const uint8_t *scales, int64_t tiles);

/*
 * How many tokens from the first on, `most` at most, are of the first one's kind, which is told.
 * Tokens go one of two ways by themselves, so that what they come with makes no difference.
 */
INLINE int engram_of_one_kind(int (*kind)(const float *in, int64_t inputs), const float *in,
                              int64_t inputs, int64_t tokens, int most, int *first) {
  int some = 1;
  *first = kind(in, inputs);
  while (some < most && some < tokens && kind(in + some * inputs, inputs) == *first) {
    some++;
  }
  return some;
}

/* Outputs from one on, before `end`, that lie in one row of scales; and that row. */
INLINE int engram_in_one_tile(int output, int end) {
  int some = ENGRAM_BLOCK - output % ENGRAM_BLOCK;
  return end - output < some ? end - output : some;
}
INLINE const uint8_t *engram_scales_of(const struct engram_linear *linear, int output) {
  return (const uint8_t *)linear->scale + output / ENGRAM_BLOCK * (int64_t)linear->scale_stride;
}

/* Whether weights of a type can be widened, from a block on, to floats; and some of a row. */
int TIER(can_widen)(int type);
void TIER(widen)(int type, const uint8_t *from, int some, float *to);

/* Batches: see kernels.h. */
int64_t TIER(batch_scratch)(const struct engram_linear *linear, int64_t tokens);
void TIER(project_batch)(const struct engram_linear *linear, const float *in, int64_t tokens,
                         int first, int count, float *out, int64_t out_stride, void *scratch);

/*
 * Outputs [output, output + rows) of 1 to ENGRAM_PROJECT_TOKENS tokens, by weights without NaN
 * codes; rows is ENGRAM_PROJECT_ROWS or 1.
 */
void TIER(project_fp8)(const struct engram_linear *linear, const float *in, int tokens, int rows,
                       int output, float *out, int64_t out_stride);

#endif
