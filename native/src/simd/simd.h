/*
 * The vector vocabulary of the stages, which are written once and compiled per tier. A tier's
 * header gives, for vectors of LANES floats and two halves of LANES / 2 doubles:
 *
 *   f_zero f_set f_load f_store f_add f_sub f_mul f_div f_min f_max f_or
 *   f_fma(a, b, c) = a * b + c       f_fnma(a, b, c) = c - a * b
 *   f_power(n)      2^n of whole numbers in [-126, 127]
 *   f_stream        stores past the caches, to a multiple of a vector; f_stream_end after the last
 *   f_load_bf16 f_load_half f_store_bf16 (nearest even, NaN stays NaN) f_store2_bf16 (two vectors)
 *   f_e4m3_over_256 codes as floats divided by 256, whatever NaN codes give
 *   f_e4m3_block    32 codes as floats that lack a factor, 2^CODE_MISSING, in an order of its own
 *   f_e4m3_ordered  the same in the order of the codes
 *   f_load_part     the i-th LANES of 32 floats, in the order of f_e4m3_block
 *   f_taps4         weights [LANES, 4] transposed into 4 vectors
 *   d_zero d_set d_add d_mul d_fma d_low d_high (halves of floats, widened) d_sum
 *   d_fold          the sum of both halves, widened
 *   d_store4        the sums of four, added as d_sum does, and a bias each, as floats
 *   n_zero n_or_nan n_any  whether a NaN code was among blocks of 32
 *   h_rows          LANES / 2 columns of the hash
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
void TIER(gather)(const struct engram_table *table, const int64_t *row_ids, int64_t count,
                  uint8_t *out, int out_type, int stream);
void TIER(project)(const struct engram_linear *linear, const float *in, int64_t tokens, int first,
                   int count, float *out, int64_t out_stride);
int TIER(nan_free)(const uint8_t *codes, int64_t count);
void TIER(gate_sums)(const float *product, const float *key, const void *stream, int type,
                     int64_t hidden, const void *end, double sums[3]);
void TIER(gate_apply)(float gate, const float *value, void *stream, int type, int64_t hidden,
                      float *gated, const float *next_key, const void *end);
void TIER(conv_norm)(const float *gated, const float *norm, float eps, int64_t hidden, float *out);
void TIER(conv_taps)(const struct engram_conv_weights *conv, const float *gated,
                     const float *window, int64_t channels, float *delta);

#endif
