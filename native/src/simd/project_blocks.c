#include "rows.h"

/*
 * The projection with weights of block types and of halves: some inputs of a few outputs' weights
 * are widened into the first cache, where they serve all tokens.
 */
#define ROWS 4
#define TOKENS 4
#define PART 512 /* inputs; whole blocks of every type */
#define CACHED_TOKENS 16

/* Sums go on in double for every 32 products, as in project.c. */
struct sums {
  doubles of[CACHED_TOKENS][ROWS];
};

INLINE floats tile_of(const float *w, const float *x) {
  floats low = f_mul(f_load(w), f_load(x));
  floats high = f_mul(f_load(w + LANES), f_load(x + LANES));
  for (int i = 2; i < VECTORS; i += 2) {
    low = f_fma(f_load(w + LANES * i), f_load(x + LANES * i), low);
    high = f_fma(f_load(w + LANES * (i + 1)), f_load(x + LANES * (i + 1)), high);
  }
  return f_add(low, high);
}

/* Adds what some inputs give, for some tokens. */
INLINE void add(float weights[ROWS][PART], const float *in, int64_t inputs, int some,
                const int tokens, doubles (*to)[ROWS]) {
  doubles sum[TOKENS][ROWS];
  for (int token = 0; token < tokens; token++) {
    for (int row = 0; row < ROWS; row++) {
      sum[token][row] = to[token][row];
    }
  }
  for (int k = 0; k < some; k += ENGRAM_BLOCK) {
    for (int token = 0; token < tokens; token++) {
      for (int row = 0; row < ROWS; row++) {
        floats tile = tile_of(weights[row] + k, in + token * inputs + k);
        sum[token][row] = d_add(sum[token][row], d_fold(tile));
      }
    }
  }
  for (int token = 0; token < tokens; token++) {
    for (int row = 0; row < ROWS; row++) {
      to[token][row] = sum[token][row];
    }
  }
}

/* Some inputs of one output's weights, from a block on. */
INLINE void widen(const int type, const uint8_t *from, int some, float *to) {
  const struct engram_row row = {from, NULL, NULL};
  if (decode(type, &row, 1, some, (uint8_t *)to, FLOATS)) {
    for (int k = 0; k < some; k++) {
      to[k] = engram_row_code(type, from, k);
    }
  }
}

/* Outputs [output, output + rows). */
INLINE void outputs_of(const struct engram_linear *linear, const int type, const float *in,
                       int tokens, int output, int rows, float *out, int64_t out_stride) {
  const int64_t inputs = linear->inputs;
  const int64_t stride = linear->weight_stride;
  const uint8_t *weights = (const uint8_t *)linear->weight + output * stride;
  float panel[ROWS][PART] __attribute__((aligned(64)));
  struct sums sums;
  for (int token = 0; token < tokens; token++) {
    for (int row = 0; row < ROWS; row++) {
      sums.of[token][row] = d_zero();
    }
  }
  for (int64_t k = 0; k < inputs; k += PART) {
    int some = inputs - k < PART ? (int)(inputs - k) : PART;
    int64_t at = engram_row_bytes(type, k);
    for (int row = 0; row < ROWS; row++) {
      if (row < rows) {
        widen(type, weights + row * stride + at, some, panel[row]);
      } else if (k == 0) {
        __builtin_memset(panel[row], 0, sizeof panel[row]); /* sums that nobody asks for */
      }
    }
    int token = 0;
    for (; token + TOKENS <= tokens; token += TOKENS) {
      add(panel, in + token * inputs + k, inputs, some, TOKENS, sums.of + token);
    }
    for (; token < tokens; token++) {
      add(panel, in + token * inputs + k, inputs, some, 1, sums.of + token);
    }
  }
  for (int row = 0; row < rows; row++) {
    double bias = linear->bias ? linear->bias[output + row] : 0;
    for (int token = 0; token < tokens; token++) {
      float sum = (float)(d_sum(sums.of[token][row]) + bias);
      engram_store_float(out + token * out_stride + row, sum);
    }
  }
}

INLINE void typed(const struct engram_linear *linear, const int type, const float *in,
                  int64_t tokens, int first, int count, float *out, int64_t out_stride) {
  for (int64_t token = 0; token < tokens; token += CACHED_TOKENS) {
    int some = tokens - token < CACHED_TOKENS ? (int)(tokens - token) : CACHED_TOKENS;
    for (int output = first; output < first + count; output += ROWS) {
      int rows = first + count - output < ROWS ? first + count - output : ROWS;
      outputs_of(linear, type, in + token * linear->inputs, some, output, rows,
                 out + token * out_stride + (output - first), out_stride);
    }
  }
}

/* inputs are a multiple of 32. */
void TIER(project_blocks)(const struct engram_linear *linear, const float *in, int64_t tokens,
                          int first, int count, float *out, int64_t out_stride) {
  switch (linear->type) {
#define TYPED(name)                                                          \
  case ENGRAM_##name:                                                        \
    typed(linear, ENGRAM_##name, in, tokens, first, count, out, out_stride); \
    break;
    TYPED(F16)
    TYPED(Q8_0)
    TYPED(Q4_0)
    TYPED(Q4_1)
    TYPED(Q5_0)
    TYPED(Q5_1)
    TYPED(IQ4_NL)
    TYPED(MXFP4)
    TYPED(NVFP4)
    TYPED(Q2_K)
    TYPED(Q3_K)
    TYPED(Q4_K)
    TYPED(Q5_K)
    TYPED(Q6_K)
    TYPED(IQ4_XS)
    default: /* of one and two bits */
      engram_scalar_project(linear, in, tokens, first, count, out, out_stride);
  }
}
