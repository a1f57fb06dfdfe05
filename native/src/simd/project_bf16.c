#include "project_bf16.h"

/*
 * The projection of fp8 weights where a row's numbers are bf16 numbers, as those of fp8 tables are:
 * then one instruction adds two products a lane, and no product is rounded. Weights become bf16 by
 * looking up both their bytes by the 7 bits of their size. Inputs take a tile's scale before, once
 * for the 32 outputs that share it: a power of two, so this is exact as well.
 *
 * The instruction takes subnormal numbers for zeros. There are none: inputs and scales are
 * ordinary, and so are products, as project_fp8.c says.
 *
 * Lanes add PART / LANES products in float, and the lanes of a part are added in float; parts are
 * added in double. A token's products are added in the same order however many go together.
 */

#define TOKENS 8

/* Rows of one token: fewer than SUMS, which would read from twice as many pages at once. */
#define ROWS_OF_ONE 8

/* Tokens whose inputs stay in the second cache beside 32 rows of weights. */
#define CACHED_TOKENS 16

/* Inputs times their tiles' scales. */
static void scale_inputs(const float *in, const uint8_t *scales, int64_t inputs, uint16_t *to) {
  for (int64_t k = 0; k < inputs; k += STEP) {
    const uint8_t *own = scales + k / ENGRAM_BLOCK;
    store_inputs(in + k, f_set(engram_bits_to_float((uint32_t)own[0] << 23)),
                 f_set(engram_bits_to_float((uint32_t)own[1] << 23)), to + k);
  }
}

/* Adds what some rows and tokens have in one part; ahead is where a row's next part lies. */
INLINE void part(const struct codes *codes, const uint8_t *weights, int64_t stride, int64_t ahead,
                 const uint16_t *x, int64_t inputs, const int rows, const int tokens,
                 double *sums) {
  floats sum[SUMS];
  for (int i = 0; i < SUMS; i++) {
    sum[i] = f_zero();
  }
  for (int64_t k = 0; k < inputs; k += STEP) {
    if (rows <= 4 && tokens != 3) { /* for 3 gcc 12 does not find the registers */
      __m512bh w[4][2];
      for (int row = 0; row < rows; row++) {
        const uint8_t *from = weights + row * stride + k;
        __builtin_prefetch(from + ahead, 0, 2);
        look_up(codes, from, w[row]);
      }
      for (int token = 0; token < tokens; token++) {
        for (int half = 0; half < 2; half++) {
          __m512bh in = (__m512bh)_mm512_loadu_si512(x + token * PART + k + 32 * half);
          for (int row = 0; row < rows; row++) {
            floats *own = &sum[row * tokens + token];
            *own = _mm512_dpbf16_ps(*own, w[row][half], in);
          }
        }
      }
    } else {
      for (int row = 0; row < rows; row++) {
        const uint8_t *from = weights + row * stride + k;
        __builtin_prefetch(from + ahead, 0, 2);
        __m512bh w[2];
        look_up(codes, from, w);
        for (int token = 0; token < tokens; token++) {
          for (int half = 0; half < 2; half++) {
            __m512bh in = (__m512bh)_mm512_loadu_si512(x + token * PART + k + 32 * half);
            floats *own = &sum[row * tokens + token];
            *own = _mm512_dpbf16_ps(*own, w[half], in);
          }
        }
      }
    }
  }
  add_lanes(sum, rows, tokens, sums, TOKENS);
}

/* A part of 1 to TOKENS tokens for `count` rows; constant counts, so that sums get registers. */
INLINE void parts_of(const struct codes *codes, const uint8_t *weights, int64_t stride,
                     int64_t ahead, const uint16_t *x, int64_t inputs, int count, const int rows,
                     const int tokens, double *sums) {
  int row = 0;
  for (; row + rows <= count; row += rows) {
    part(codes, weights + row * stride, stride, ahead, x, inputs, rows, tokens,
         sums + row * TOKENS);
  }
  for (; row < count; row++) {
    part(codes, weights + row * stride, stride, ahead, x, inputs, 1, tokens, sums + row * TOKENS);
  }
}

static void parts(const struct codes *codes, const uint8_t *weights, int64_t stride, int64_t ahead,
                  const uint16_t *x, int64_t inputs, int count, int tokens, double *sums) {
  switch (tokens) {
    case 1:
      parts_of(codes, weights, stride, ahead, x, inputs, count, 16, 1, sums);
      break;
    case 2:
      parts_of(codes, weights, stride, ahead, x, inputs, count, 8, 2, sums);
      break;
    case 3:
      parts_of(codes, weights, stride, ahead, x, inputs, count, 4, 3, sums);
      break;
    case 4:
      parts_of(codes, weights, stride, ahead, x, inputs, count, 4, 4, sums);
      break;
    case 5:
      parts_of(codes, weights, stride, ahead, x, inputs, count, 2, 5, sums);
      break;
    case 6:
      parts_of(codes, weights, stride, ahead, x, inputs, count, 2, 6, sums);
      break;
    case 7:
      parts_of(codes, weights, stride, ahead, x, inputs, count, 2, 7, sums);
      break;
    default:
      parts_of(codes, weights, stride, ahead, x, inputs, count, 2, TOKENS, sums);
  }
}

/* Row by row, as memory likes it best. */
static void one_token(const struct codes *codes, const uint8_t *weights, int64_t stride,
                      const uint16_t *x, int64_t inputs, int count, double *sums) {
  for (int row = 0; row < count; row += ROWS_OF_ONE) {
    int rows = count - row < ROWS_OF_ONE ? count - row : ROWS_OF_ONE;
    for (int64_t from = 0; from < inputs; from += PART) {
      int64_t some = inputs - from < PART ? inputs - from : PART;
      parts_of(codes, weights + row * stride + from, stride, ROWS_OF_ONE * stride, x + from, some,
               rows, ROWS_OF_ONE, 1, sums + row * TOKENS);
    }
  }
}

/* Part by part, so that the inputs of all tokens stay in the first cache. */
static void some_tokens(const struct codes *codes, const uint8_t *weights, int64_t stride,
                        const uint8_t *scales, const float *in, int64_t inputs, int tokens,
                        int count, uint16_t *x, double *sums) {
  for (int64_t from = 0; from < inputs; from += PART) {
    int64_t some = inputs - from < PART ? inputs - from : PART;
    for (int token = 0; token < tokens; token++) {
      const float *own = in + (int64_t)token * inputs + from;
      scale_inputs(own, scales + from / ENGRAM_BLOCK, some, x + token * PART);
    }
    /* hardware prefetchers would begin anew with every row of a part */
    int64_t ahead = from + some < inputs ? some : ENGRAM_BLOCK * stride - from;
    parts(codes, weights + from, stride, ahead, x, some, count, tokens, sums);
  }
}

/* Outputs [output, output + count), all of one row of scales, of 1 to TOKENS tokens. */
static void outputs_of(const struct engram_linear *linear, const struct codes *codes,
                       const float *in, int tokens, int output, int count, float *out,
                       int64_t out_stride) {
  const int64_t inputs = linear->inputs;
  const int64_t stride = linear->weight_stride;
  const uint8_t *weights = (const uint8_t *)linear->weight + output * stride;
  const uint8_t *scales = engram_scales_of(linear, output);
  uint16_t x[TOKENS * PART];
  double sums[ENGRAM_BLOCK * TOKENS] = {0};
  if (tokens == 1 && inputs <= TOKENS * PART) {
    scale_inputs(in, scales, inputs, x);
    one_token(codes, weights, stride, x, inputs, count, sums);
  } else {
    some_tokens(codes, weights, stride, scales, in, inputs, tokens, count, x, sums);
  }
  for (int row = 0; row < count; row++) {
    double bias = linear->bias ? linear->bias[output + row] : 0;
    for (int token = 0; token < tokens; token++) {
      float sum = (float)(sums[row * TOKENS + token] + bias);
      engram_store_float(out + token * out_stride + row, sum);
    }
  }
}

#include "project_short.h"

const struct engram_kernels engram_avx512_bf16_kernels = {
    .below = &engram_avx512_kernels,
    .project = TIER(bf16_project),
    .batch_scratch = TIER(bf16_scratch),
    .project_batch = TIER(bf16_batch),
};
