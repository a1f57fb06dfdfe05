#include "project_batch.h"
#include "project_few.h"

/*
 * The projection of batches of ordinary numbers: a block of weights becomes floats once for all
 * tokens, with its scale, where project_fp8.c does it for every four. A product is the same number
 * either way and sums are added in the same order, so a token gets the same bits.
 *
 * A block of weights and the inputs of a few tokens fit the first cache together (16 and 12 KB with
 * AVX-512). Inputs are packed before, as rows of 24 KB, like V4.1's, would all fall on the same
 * lines of it.
 */
#define LEAST_TOKENS 5

int64_t TIER(batch_scratch)(const struct engram_linear *linear, int64_t tokens) {
  if (tokens < LEAST_TOKENS || !linear->nan_free || linear->inputs % ENGRAM_BLOCK != 0) {
    return 0;
  }
  int64_t groups = ((int64_t)linear->inputs + GROUP - 1) / GROUP;
  int64_t most = tokens < CHUNK ? tokens : CHUNK;
  return (int64_t)sizeof(struct scratch) + groups * most * GROUP * (int64_t)sizeof(float);
}

static void pack(const float *in, int64_t inputs, int tokens, float *packed) {
  for (int64_t from = 0; from < inputs; from += GROUP) {
    int64_t some = inputs - from < GROUP ? inputs - from : GROUP;
    for (int token = 0; token < tokens; token++) {
      __builtin_memcpy(packed, in + token * inputs + from, (size_t)some * sizeof(float));
      packed += GROUP;
    }
  }
}

static void decode(const uint8_t *weights, int64_t stride, const uint8_t *scales, int64_t inputs,
                   int rows, struct scratch *scratch) {
  for (int row = 0; row < rows; row++) {
    const uint8_t *own = weights + row * stride;
    for (int64_t k = 0; k < inputs; k += ENGRAM_BLOCK) {
      floats scale = f_set(engram_scale_of_codes(scales[k / ENGRAM_BLOCK]));
      floats w[ENGRAM_BLOCK / LANES];
      /* the block after this: hardware prefetchers would begin anew with every row */
      __builtin_prefetch(own + k + ROWS * stride, 0, 2);
      f_e4m3_tile(own + k, w);
      for (int i = 0; i < ENGRAM_BLOCK / LANES; i++) {
        f_store(scratch->weights[row] + k + LANES * i, f_mul(w[i], scale));
      }
    }
  }
}

/* A group of some rows and tokens; the rows' weights, the tokens' inputs, the rows' sums. */
INLINE void dots(const float *weights, const float *in, int64_t inputs, const int rows,
                 const int tokens, token_sums *sums, int token) {
  floats sum[FEW_ROWS][FEW_TOKENS];
  for (int r = 0; r < rows; r++) {
    for (int t = 0; t < tokens; t++) {
      sum[r][t] = f_zero();
    }
  }
  for (int64_t k = 0; k < inputs; k += LANES) {
    floats x[FEW_TOKENS];
    for (int t = 0; t < tokens; t++) {
      x[t] = f_load(in + t * GROUP + k);
    }
    for (int r = 0; r < rows; r++) {
      floats w = f_load(weights + r * GROUP + k);
      for (int t = 0; t < tokens; t++) {
        sum[r][t] = f_fma(w, x[t], sum[r][t]);
      }
    }
  }
  for (int r = 0; r < rows; r++) {
    for (int t = 0; t < tokens; t++) {
      add_to(sums[r][token + t], sum[r][t]);
    }
  }
}

/* Constant counts, so that sums get registers. */
INLINE void rows_of(const float *weights, const float *in, int64_t inputs, const int rows,
                    int tokens, token_sums *sums, int token) {
  switch (tokens) {
#if FEW_TOKENS > 3
    case 6:
      dots(weights, in, inputs, rows, 6, sums, token);
      break;
    case 5:
      dots(weights, in, inputs, rows, 5, sums, token);
      break;
    case 4:
      dots(weights, in, inputs, rows, 4, sums, token);
      break;
#endif
    case 3:
      dots(weights, in, inputs, rows, 3, sums, token);
      break;
    case 2:
      dots(weights, in, inputs, rows, 2, sums, token);
      break;
    default:
      dots(weights, in, inputs, rows, 1, sums, token);
  }
}

/* A group of the rows that were decoded, of all tokens: evenly, as one token alone costs most. */
static void multiply(const float *in, int64_t inputs, int rows, int tokens, int first,
                     struct scratch *scratch) {
  const int parts = (tokens + FEW_TOKENS - 1) / FEW_TOKENS;
  for (int part = 0; part < parts; part++) {
    int token = tokens * part / parts;
    int few = tokens * (part + 1) / parts - token;
    const float *own = in + (int64_t)token * GROUP;
    int row = 0;
    for (; row + FEW_ROWS <= rows; row += FEW_ROWS) {
      rows_of(scratch->weights[row], own, inputs, FEW_ROWS, few, scratch->sums + first + row,
              token);
    }
    for (; row < rows; row++) {
      rows_of(scratch->weights[row], own, inputs, 1, few, scratch->sums + first + row, token);
    }
  }
}

/* Adds the products of packed tokens with the rows of a tile. */
static void sums_of_many(const uint8_t *weights, int64_t stride, const uint8_t *scales,
                         int64_t inputs, int tokens, int rows, struct scratch *scratch) {
  const float *in = scratch->inputs;
  for (int64_t from = 0; from < inputs; from += GROUP) {
    int64_t some = inputs - from < GROUP ? inputs - from : GROUP;
    for (int row = 0; row < rows; row += ROWS) {
      int now = rows - row < ROWS ? rows - row : ROWS;
      decode(weights + row * stride + from, stride, scales + from / ENGRAM_BLOCK, some, now,
             scratch);
      multiply(in, some, now, tokens, row, scratch);
    }
    in += (int64_t)tokens * GROUP;
  }
}

/* Outputs [output, output + rows), all of one row of scales, of up to CHUNK tokens. */
static void outputs_of(const struct engram_linear *linear, const float *in, int tokens, int output,
                       int rows, float *out, int64_t out_stride, struct scratch *scratch) {
  const int64_t stride = linear->weight_stride;
  const uint8_t *weights = (const uint8_t *)linear->weight + output * stride;
  const uint8_t *scales = engram_scales_of(linear, output);
  __builtin_memset(scratch->sums, 0, sizeof scratch->sums[0] * (size_t)rows);
  if (tokens <= MOST_OF_FEW) {
    sums_of_few(weights, stride, scales, in, linear->inputs, tokens, rows, scratch);
  } else {
    sums_of_many(weights, stride, scales, linear->inputs, tokens, rows, scratch);
  }
  for (int token = 0; token < tokens; token++) {
    for (int row = 0; row < rows; row++) {
      doubles all;
      __builtin_memcpy(&all, scratch->sums[row][token], sizeof all);
      double bias = linear->bias ? linear->bias[output + row] : 0;
      engram_store_float(out + token * out_stride + row, (float)(d_sum(all) + bias));
    }
  }
}

static void chunk(const struct engram_linear *linear, const float *in, int tokens, int first,
                  int count, float *out, int64_t out_stride, struct scratch *scratch) {
  int some;
  if (tokens > MOST_OF_FEW) {
    pack(in, linear->inputs, tokens, scratch->inputs);
  }
  for (int output = first; output < first + count; output += some) {
    some = engram_in_one_tile(output, first + count);
    const uint8_t *scales = engram_scales_of(linear, output);
    float *to = out + (output - first);
    if (TIER(ordinary_scales)(scales, linear->inputs / ENGRAM_BLOCK)) {
      outputs_of(linear, in, tokens, output, some, to, out_stride, scratch);
    } else {
      TIER(project)(linear, in, tokens, output, some, to, out_stride);
    }
  }
}

void TIER(project_batch)(const struct engram_linear *linear, const float *in, int64_t tokens,
                         int first, int count, float *out, int64_t out_stride, void *scratch) {
  const int64_t inputs = linear->inputs;
  int some;
  for (int64_t from = 0; from < tokens; from += some) {
    const float *own = in + from * inputs;
    float *to = out + from * out_stride;
    int is_ordinary;
    some =
        engram_of_one_kind(TIER(ordinary_inputs), own, inputs, tokens - from, CHUNK, &is_ordinary);
    if (is_ordinary) {
      chunk(linear, own, some, first, count, to, out_stride, scratch);
    } else {
      TIER(project)(linear, own, some, first, count, to, out_stride);
    }
  }
}
