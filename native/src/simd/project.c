#include "project_fp8.h"

#define VECTORS (ENGRAM_BLOCK / LANES)

/* Tokens and outputs whose sums stay in registers. Four rows of weights at a time, so that inputs,
   which do not fit into the first cache beside them, come from the second one a quarter as often.
 */
#define TOKENS 4
#define ROWS 4

/* Tokens whose inputs stay in the second cache while all weights go by once. */
#define CACHED_TOKENS 16

/* Widens a tile's 32 weights, divided by 256, so that they serve all tokens. */
INLINE void widen(const uint8_t *from, floats w[VECTORS]) {
  for (int i = 0; i < VECTORS; i++) {
    w[i] = f_e4m3_over_256(from + LANES * i);
  }
}

/* Two or four products a lane, in float, and then half as many lanes. */
INLINE doubles tile_sum(const floats w[VECTORS], const float *x) {
  floats low = f_mul(w[0], f_load(x));
  floats high = f_mul(w[1], f_load(x + LANES));
  for (int i = 2; i < VECTORS; i += 2) {
    low = f_fma(w[i], f_load(x + LANES * i), low);
    high = f_fma(w[i + 1], f_load(x + LANES * (i + 1)), high);
  }
  return d_fold(f_add(low, high));
}

/*
 * Outputs [output, output + rows), all of one row of scales, for some tokens. The lanes of a tile's
 * sum go on in double: float sums over 192 tiles put gates near a zero dot product 4e-5 off, where
 * the root makes much of little. Returns whether a NaN code was seen.
 */
INLINE int block(const struct engram_linear *linear, const float *in, const int tokens,
                 const int rows, int output, float *out, int64_t out_stride) {
  const int64_t inputs = linear->inputs;
  const int64_t row_bytes = linear->weight_stride;
  const uint8_t *weights = (const uint8_t *)linear->weight + output * row_bytes;
  const uint8_t *scales = engram_scales_of(linear, output);
  doubles sums[ROWS][TOKENS];
  for (int row = 0; row < rows; row++) {
    for (int token = 0; token < tokens; token++) {
      sums[row][token] = d_zero();
    }
  }
  marks nan = n_zero();
  for (int64_t k = 0; k < inputs; k += ENGRAM_BLOCK) {
    const double scale = 256 * engram_e8m0_double(*scales++);
    for (int row = 0; row < rows; row++) {
      const uint8_t *tile = weights + row * row_bytes + k;
      floats w[VECTORS];
      /* the same place in the next group of rows: hardware prefetchers stop at every page */
      __builtin_prefetch(tile + rows * row_bytes, 0, 2);
      widen(tile, w);
      nan = n_or_nan(nan, tile);
      for (int token = 0; token < tokens; token++) {
        doubles sum = tile_sum(w, in + token * inputs + k);
        sums[row][token] = d_fma(sum, d_set(scale), sums[row][token]);
      }
    }
  }
  for (int row = 0; row < rows; row++) {
    double bias = linear->bias ? linear->bias[output + row] : 0;
    for (int token = 0; token < tokens; token++) {
      double sum = d_sum(sums[row][token]);
      engram_store_float(out + token * out_stride + row, (float)(sum + bias));
    }
  }
  return n_any(nan);
}

/* A NaN code makes its whole output NaN: told apart only now, since there are hardly ever any. */
static void mark_nans(const struct engram_linear *linear, int tokens, int rows, int output,
                      float *out, int64_t out_stride) {
  const uint8_t *codes = linear->weight;
  for (int row = 0; row < rows; row++) {
    marks nan = n_zero();
    for (int k = 0; k < linear->inputs; k += ENGRAM_BLOCK) {
      nan = n_or_nan(nan, codes + (output + row) * (int64_t)linear->weight_stride + k);
    }
    for (int token = 0; token < tokens && n_any(nan); token++) {
      engram_store_float(out + token * out_stride + row, __builtin_nanf(""));
    }
  }
}

/* Constant counts, so that sums get registers. */
INLINE void rows_of(const struct engram_linear *linear, const float *in, int tokens, const int rows,
                    int output, float *out, int64_t out_stride) {
  int nan;
  if (tokens == 4) {
    nan = block(linear, in, 4, rows, output, out, out_stride);
  } else if (tokens == 3) {
    nan = block(linear, in, 3, rows, output, out, out_stride);
  } else if (tokens == 2) {
    nan = block(linear, in, 2, rows, output, out, out_stride);
  } else {
    nan = block(linear, in, 1, rows, output, out, out_stride);
  }
  if (nan) {
    mark_nans(linear, tokens, rows, output, out, out_stride);
  }
}

/* The careful way, for any number: up to CACHED_TOKENS tokens. */
static void careful(const struct engram_linear *linear, const float *in, int tokens, int first,
                    int count, float *out, int64_t out_stride) {
  int step;
  for (int output = first; output < first + count; output += step) {
    /* whole groups lie in one row of scales */
    step = output % ROWS == 0 && first + count - output >= ROWS ? ROWS : 1;
    for (int token = 0; token < tokens; token += TOKENS) {
      int some = tokens - token < TOKENS ? tokens - token : TOKENS;
      const float *own = in + (int64_t)token * linear->inputs;
      float *to = out + token * out_stride + (output - first);
      if (step == ROWS) {
        rows_of(linear, own, some, ROWS, output, to, out_stride);
      } else {
        rows_of(linear, own, some, 1, output, to, out_stride);
      }
    }
  }
}

int TIER(nan_free)(const uint8_t *codes, int64_t count) {
  marks nan = n_zero();
  int64_t k = 0;
  for (; k + ENGRAM_BLOCK <= count; k += ENGRAM_BLOCK) {
    nan = n_or_nan(nan, codes + k);
  }
  return !n_any(nan) && engram_scalar_nan_free(codes + k, count - k);
}

/* Tokens with ordinary inputs: the short way wherever the scales are ordinary as well. */
static void ordinary(const struct engram_linear *linear, const float *in, int tokens, int first,
                     int count, float *out, int64_t out_stride) {
  int64_t tiles = linear->inputs / ENGRAM_BLOCK;
  int step;
  for (int output = first; output < first + count; output += step) {
    /* whole groups lie in one row of scales */
    int whole = output % ENGRAM_PROJECT_ROWS == 0 && first + count - output >= ENGRAM_PROJECT_ROWS;
    step = whole ? ENGRAM_PROJECT_ROWS : 1;
    const uint8_t *scales = linear->scale;
    scales += output / ENGRAM_BLOCK * (int64_t)linear->scale_stride;
    float *to = out + (output - first);
    if (!TIER(ordinary_scales)(scales, tiles)) {
      careful(linear, in, tokens, output, step, to, out_stride);
      continue;
    }
    for (int token = 0; token < tokens; token += ENGRAM_PROJECT_TOKENS) {
      int some = tokens - token < ENGRAM_PROJECT_TOKENS ? tokens - token : ENGRAM_PROJECT_TOKENS;
      const float *own = in + (int64_t)token * linear->inputs;
      float *own_out = to + token * out_stride;
      TIER(project_fp8)(linear, own, some, step, output, own_out, out_stride);
    }
  }
}

void TIER(project)(const struct engram_linear *linear, const float *in, int64_t tokens, int first,
                   int count, float *out, int64_t out_stride) {
  const int64_t inputs = linear->inputs;
  if (inputs % ENGRAM_BLOCK != 0) { /* no published model has such rows */
    engram_scalar_project(linear, in, tokens, first, count, out, out_stride);
    return;
  }
  if (linear->type != ENGRAM_F8_E4M3) {
    TIER(project_blocks)(linear, in, tokens, first, count, out, out_stride);
    return;
  }
  int some;
  for (int64_t from = 0; from < tokens; from += some) {
    const float *own = in + from * inputs;
    float *to = out + from * out_stride;
    /* tokens go one of two ways by themselves, so that what they come with makes no difference */
    int is_ordinary = linear->nan_free && TIER(ordinary_inputs)(own, inputs);
    for (some = 1; some < CACHED_TOKENS && from + some < tokens; some++) {
      if (linear->nan_free && TIER(ordinary_inputs)(own + some * inputs, inputs) != is_ordinary) {
        break;
      }
    }
    if (is_ordinary) {
      ordinary(linear, own, some, first, count, to, out_stride);
    } else {
      careful(linear, own, some, first, count, to, out_stride);
    }
  }
}
