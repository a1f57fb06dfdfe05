#include "simd.h"

#define VECTORS (ENGRAM_BLOCK / LANES)

/* Tokens whose sums stay in registers while a row of weights goes by. */
#define MOST_TOKENS 4

/* Widens a tile's 32 weights, so that they serve all tokens; returns what their sum is scaled by.
 */
INLINE double widen(const struct engram_linear *linear, int output, int tile, floats w[VECTORS]) {
  int64_t at = (int64_t)output * linear->inputs + (int64_t)tile * ENGRAM_BLOCK;
  const uint8_t *data = linear->weight;
  if (linear->type == ENGRAM_F8_E4M3) {
    for (int i = 0; i < VECTORS; i++) {
      const uint8_t *codes = data + at + LANES * i;
      w[i] = f_or(f_e4m3_over_256(codes), f_e4m3_nan(codes));
    }
    const uint8_t *scales = linear->scale;
    int64_t index = (int64_t)(output / ENGRAM_BLOCK) * engram_blocks(linear->inputs) + tile;
    return 256.0 * engram_e8m0(scales[index]); /* codes were divided by 256 */
  }
  for (int i = 0; i < VECTORS; i++) {
    const uint8_t *from = data + (at + LANES * i) * engram_type_bytes(linear->type);
    w[i] = linear->type == ENGRAM_F32 ? f_load(from) : f_load_bf16(from);
  }
  return 1;
}

/* Two or four products a lane, in float. */
INLINE floats tile_sum(const floats w[VECTORS], const float *x) {
  floats low = f_mul(w[0], f_load(x));
  floats high = f_mul(w[1], f_load(x + LANES));
  for (int i = 2; i < VECTORS; i += 2) {
    low = f_fma(w[i], f_load(x + LANES * i), low);
    high = f_fma(w[i + 1], f_load(x + LANES * (i + 1)), high);
  }
  return f_add(low, high);
}

/* The lanes of a tile's sum go on in double: float sums over 192 tiles put gates near a zero dot
   product 4e-5 off, where the root makes much of little. */
INLINE void one_output(const struct engram_linear *linear, const float *in, const int tokens,
                       int output, float *out, int64_t out_stride) {
  int inputs = linear->inputs;
  doubles low[MOST_TOKENS];
  doubles high[MOST_TOKENS];
  for (int token = 0; token < tokens; token++) {
    low[token] = d_zero();
    high[token] = d_zero();
  }
  for (int tile = 0; tile < inputs / ENGRAM_BLOCK; tile++) {
    floats w[VECTORS];
    doubles scale = d_set(widen(linear, output, tile, w));
    for (int token = 0; token < tokens; token++) {
      floats partial = tile_sum(w, in + (int64_t)token * inputs + (int64_t)tile * ENGRAM_BLOCK);
      low[token] = d_fma(d_low(partial), scale, low[token]);
      high[token] = d_fma(d_high(partial), scale, high[token]);
    }
  }
  double bias = linear->bias ? linear->bias[output] : 0;
  for (int token = 0; token < tokens; token++) {
    double sum = d_sum(d_add(low[token], high[token]));
    engram_store_float(out + token * out_stride, (float)(sum + bias));
  }
}

/* Constant numbers of tokens, so that their sums get registers. */
static void outputs_of(const struct engram_linear *linear, const float *in, int tokens, int output,
                       float *out, int64_t out_stride) {
  if (tokens == 4) {
    one_output(linear, in, 4, output, out, out_stride);
  } else if (tokens == 3) {
    one_output(linear, in, 3, output, out, out_stride);
  } else if (tokens == 2) {
    one_output(linear, in, 2, output, out, out_stride);
  } else {
    one_output(linear, in, 1, output, out, out_stride);
  }
}

void TIER(project)(const struct engram_linear *linear, const float *in, int64_t tokens, int first,
                   int count, float *out, int64_t out_stride) {
  if (linear->inputs % ENGRAM_BLOCK != 0) { /* no published model has such rows */
    engram_scalar_project(linear, in, tokens, first, count, out, out_stride);
    return;
  }
  for (int64_t from = 0; from < tokens; from += MOST_TOKENS) {
    int block = tokens - from < MOST_TOKENS ? (int)(tokens - from) : MOST_TOKENS;
    for (int output = first; output < first + count; output++) {
      outputs_of(linear, in + from * linear->inputs, block, output,
                 out + from * out_stride + (output - first), out_stride);
    }
  }
}
