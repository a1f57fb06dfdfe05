/*
 * The vector vocabulary of the stages, which are written once and compiled per tier. A tier's
 * header gives, for vectors of LANES floats and two halves of LANES / 2 doubles:
 *
 *   f_zero f_set f_load f_store f_add f_mul
 *   f_fma(a, b, c) = a * b + c
 *   f_load_bf16 f_store_bf16 (nearest even, NaN stays NaN)
 *   f_load_half
 *   f_e4m3_over_256 LANES codes as floats divided by 256, whatever NaN codes give
 *   f_e4m3_tile     32 codes so; x86 halves go through memory, as converting them from there takes
 *                   no port that shuffles do, which decoding waits for on Intel's cores
 *   f_e4m3_halves   32 codes as halves, divided by 256; AVX2 alone
 *   d_zero d_set d_add d_fma d_low d_high (halves of floats, widened) d_sum
 *   d_fold          the sum of both halves, widened
 *   n_zero n_or_nan n_any  whether a NaN code was among blocks of 32
 *
 * Words that serve one stage stand in that stage's file. native/test/words.c tests each word.
 */
#ifndef ENGRAM_SIMD_H
#define ENGRAM_SIMD_H

#include "../kernels.h"

#define INLINE static inline __attribute__((always_inline))

#if defined(ENGRAM_SIMD_AVX512)
#include "avx512.h"
#elif defined(ENGRAM_SIMD_AVX2)
#include "avx2.h"
#elif defined(ENGRAM_SIMD_NEON)
#include "neon.h"
#else
#error "compile the stages for one tier"
#endif

void TIER(hash)(const struct engram_layout *layout, const int32_t *windows, int64_t tokens,
                int64_t *row_ids);
void TIER(gather)(const struct engram_table *table, const struct engram_row *rows, int64_t count,
                  uint8_t *out, int out_type, int stream);
void TIER(project)(const struct engram_linear *linear, const float *in, int64_t tokens, int first,
                   int count, float *out, int64_t out_stride);
void TIER(project_blocks)(const struct engram_linear *linear, const float *in, int64_t tokens,
                          int first, int count, float *out, int64_t out_stride);
int TIER(nan_free)(const uint8_t *codes, int64_t count);
void TIER(gate)(const struct engram_gate_weights *gate, const float *kv, uint8_t *stream, int type,
                int64_t token_stride, int64_t branch_stride, const signed char *mask,
                int64_t tokens, float *gates, float *gated);
void TIER(conv)(const struct engram_conv_weights *conv, float *gated, float *window,
                const signed char *mask, int64_t tokens, uint8_t *stream, int type,
                int64_t token_stride, int64_t branch_stride);

#endif
