/* The way of ordinary fp8 projections; see project_fp8.c. Inputs are whole tiles. */
#ifndef ENGRAM_PROJECT_FP8_H
#define ENGRAM_PROJECT_FP8_H

#include "simd.h"

/* Tokens and rows at a time; rows are of one row of scales. */
#define ENGRAM_PROJECT_TOKENS 4
#define ENGRAM_PROJECT_ROWS 8

/* Inputs of which lanes add products in float before they go on in double. */
#define ENGRAM_PROJECT_GROUP (8 * ENGRAM_BLOCK)

/* Codes come divided by 2^8. */
#define ENGRAM_CODES_DIVIDED 8

/* Whether no number is so large or small that the short way would lose digits of it. */
int TIER(ordinary_inputs)(const float *in, int64_t inputs);
int TIER(ordinary_scales)(const uint8_t *scales, int64_t tiles);

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
