#include "tier_avx2.h"

/* Tokens whose sums are kept while a row of weights goes by: their inputs stay in cache. */
#define TOKENS 16

/* Widens a tile's 32 weights, so that they serve all tokens; returns what their sum is scaled by.
 */
static inline float widen(const struct engram_linear *linear, int output, int tile, __m256 w[4]) {
  int64_t at = (int64_t)output * linear->inputs + (int64_t)tile * ENGRAM_BLOCK;
  const uint8_t *data = linear->weight;
  if (linear->type == ENGRAM_F8_E4M3) {
    for (int i = 0; i < 4; i++) {
      __m128i codes = _mm_loadl_epi64((const __m128i *)(const void *)(data + at + 8 * i));
      w[i] = _mm256_or_ps(engram_e4m3_over_256(codes), engram_e4m3_nan(codes));
    }
    const uint8_t *scales = linear->scale;
    int64_t index = (int64_t)(output / ENGRAM_BLOCK) * engram_blocks(linear->inputs) + tile;
    return engram_e8m0(scales[index]);
  }
  for (int i = 0; i < 4; i++) {
    const uint8_t *from = data + (at + 8 * i) * engram_type_bytes(linear->type);
    w[i] = linear->type == ENGRAM_F32
               ? _mm256_loadu_ps((const float *)(const void *)from)
               : engram_bf16_to_floats(_mm_loadu_si128((const __m128i *)(const void *)from));
  }
  return 1;
}

static inline __m256 tile_sum(const __m256 w[4], const float *x) {
  __m256 low = _mm256_mul_ps(w[0], _mm256_loadu_ps(x));
  __m256 high = _mm256_mul_ps(w[1], _mm256_loadu_ps(x + 8));
  low = _mm256_fmadd_ps(w[2], _mm256_loadu_ps(x + 16), low);
  high = _mm256_fmadd_ps(w[3], _mm256_loadu_ps(x + 24), high);
  return _mm256_add_ps(low, high);
}

/* The lanes of a tile's sum, in float for 4 products each, go on in double: float sums over 192
   tiles put gates near a zero dot product 4e-5 off, where the root makes much of little. */
static void one_output(const struct engram_linear *linear, const float *in, int tokens, int output,
                       float *out, int64_t out_stride) {
  int inputs = linear->inputs;
  int tiles = inputs / ENGRAM_BLOCK;
  __m256d low[TOKENS];
  __m256d high[TOKENS];
  for (int token = 0; token < tokens; token++) {
    low[token] = _mm256_setzero_pd();
    high[token] = _mm256_setzero_pd();
  }
  double unit = linear->type == ENGRAM_F8_E4M3 ? 256 : 1; /* codes were divided by it */
  for (int tile = 0; tile < tiles; tile++) {
    __m256 w[4];
    __m256d scale = _mm256_set1_pd(unit * widen(linear, output, tile, w));
    for (int token = 0; token < tokens; token++) {
      const float *x = in + (int64_t)token * inputs + (int64_t)tile * ENGRAM_BLOCK;
      __m256 partial = tile_sum(w, x);
      __m256d first = _mm256_cvtps_pd(_mm256_castps256_ps128(partial));
      __m256d second = _mm256_cvtps_pd(_mm256_extractf128_ps(partial, 1));
      low[token] = _mm256_fmadd_pd(first, scale, low[token]);
      high[token] = _mm256_fmadd_pd(second, scale, high[token]);
    }
  }
  for (int token = 0; token < tokens; token++) {
    double lanes[4];
    _mm256_storeu_pd(lanes, _mm256_add_pd(low[token], high[token]));
    double sum = (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
    double bias = linear->bias ? linear->bias[output] : 0;
    engram_store_float(out + token * out_stride, (float)(sum + bias));
  }
}

void engram_avx2_project(const struct engram_linear *linear, const float *in, int64_t tokens,
                         int first, int count, float *out, int64_t out_stride) {
  if (linear->inputs % ENGRAM_BLOCK != 0) { /* no published model has such rows */
    engram_scalar_project(linear, in, tokens, first, count, out, out_stride);
    return;
  }
  for (int64_t from = 0; from < tokens; from += TOKENS) {
    int block = tokens - from < TOKENS ? (int)(tokens - from) : TOKENS;
    for (int output = first; output < first + count; output++) {
      one_output(linear, in + from * linear->inputs, block, output,
                 out + from * out_stride + (output - first), out_stride);
    }
  }
}
