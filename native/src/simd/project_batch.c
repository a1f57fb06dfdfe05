#include "project_fp8.h"

/*
 * The projection of batches of ordinary numbers: a block of weights becomes floats once for all
 * tokens, with its scale, where project_fp8.c does it for every four. A product is the same number
 * either way and sums are added in the same order, so a token gets the same bits.
 */
#define ROWS ENGRAM_BLOCK
#define CHUNK 32
#define LEAST_TOKENS 5

/* Rows and tokens whose sums stay in registers. */
#define FEW_ROWS 4
#if defined(ENGRAM_SIMD_AVX512)
#define FEW_TOKENS 6
#else
#define FEW_TOKENS 3
#endif

struct scratch {
  double sums[ROWS][CHUNK][LANES / 2];
  float weights[ROWS][ENGRAM_PROJECT_GROUP];
};

int64_t TIER(batch_scratch)(const struct engram_linear *linear, int64_t tokens) {
  int fits = tokens >= LEAST_TOKENS && linear->nan_free && linear->inputs % ENGRAM_BLOCK == 0;
  return fits ? (int64_t)sizeof(struct scratch) : 0;
}

static void decode(const uint8_t *weights, int64_t stride, const uint8_t *scales, int64_t inputs,
                   int rows, struct scratch *scratch) {
  for (int row = 0; row < rows; row++) {
    const uint8_t *own = weights + row * stride;
    for (int64_t k = 0; k < inputs; k += ENGRAM_BLOCK) {
      float scale =
          engram_bits_to_float((uint32_t)(scales[k / ENGRAM_BLOCK] + ENGRAM_CODES_DIVIDED) << 23);
      floats w[ENGRAM_BLOCK / LANES];
      /* the next part: hardware prefetchers would begin anew with every row */
      __builtin_prefetch(own + k + ENGRAM_PROJECT_GROUP, 0, 2);
      f_e4m3_tile(own + k, w);
      for (int i = 0; i < ENGRAM_BLOCK / LANES; i++) {
        f_store(scratch->weights[row] + k + LANES * i, f_mul(w[i], f_set(scale)));
      }
    }
  }
}

INLINE void dots(const float *in, int64_t in_stride, int64_t inputs, const int rows,
                 const int tokens, int row, int token, struct scratch *scratch) {
  floats sum[FEW_ROWS][FEW_TOKENS];
  for (int r = 0; r < rows; r++) {
    for (int t = 0; t < tokens; t++) {
      sum[r][t] = f_zero();
    }
  }
  for (int64_t k = 0; k < inputs; k += LANES) {
    floats x[FEW_TOKENS];
    for (int t = 0; t < tokens; t++) {
      x[t] = f_load(in + t * in_stride + k);
    }
    for (int r = 0; r < rows; r++) {
      floats w = f_load(scratch->weights[row + r] + k);
      for (int t = 0; t < tokens; t++) {
        sum[r][t] = f_fma(w, x[t], sum[r][t]);
      }
    }
  }
  for (int r = 0; r < rows; r++) {
    for (int t = 0; t < tokens; t++) {
      doubles all;
      double *to = scratch->sums[row + r][token + t];
      __builtin_memcpy(&all, to, sizeof all);
      all = d_add(d_fold(sum[r][t]), all);
      __builtin_memcpy(to, &all, sizeof all);
    }
  }
}

/* Constant counts, so that sums get registers. */
INLINE void rows_of(const float *in, int64_t in_stride, int64_t inputs, const int rows, int tokens,
                    int row, int token, struct scratch *scratch) {
  switch (tokens) {
#if FEW_TOKENS > 3
    case 6:
      dots(in, in_stride, inputs, rows, 6, row, token, scratch);
      break;
    case 5:
      dots(in, in_stride, inputs, rows, 5, row, token, scratch);
      break;
    case 4:
      dots(in, in_stride, inputs, rows, 4, row, token, scratch);
      break;
#endif
    case 3:
      dots(in, in_stride, inputs, rows, 3, row, token, scratch);
      break;
    case 2:
      dots(in, in_stride, inputs, rows, 2, row, token, scratch);
      break;
    default:
      dots(in, in_stride, inputs, rows, 1, row, token, scratch);
  }
}

/* Outputs [output, output + rows), all of one row of scales, of up to CHUNK tokens. */
static void outputs_of(const struct engram_linear *linear, const float *in, int tokens, int output,
                       int rows, float *out, int64_t out_stride, struct scratch *scratch) {
  const int64_t inputs = linear->inputs;
  const int64_t stride = linear->weight_stride;
  const uint8_t *weights = (const uint8_t *)linear->weight + output * stride;
  const uint8_t *scales = engram_scales_of(linear, output);
  __builtin_memset(scratch->sums, 0, sizeof scratch->sums[0] * (size_t)rows);
  for (int64_t from = 0; from < inputs; from += ENGRAM_PROJECT_GROUP) {
    int64_t some = inputs - from < ENGRAM_PROJECT_GROUP ? inputs - from : ENGRAM_PROJECT_GROUP;
    decode(weights + from, stride, scales + from / ENGRAM_BLOCK, some, rows, scratch);
    int now;
    for (int token = 0; token < tokens; token += now) {
      now = tokens - token < FEW_TOKENS ? tokens - token : FEW_TOKENS;
      const float *own = in + (int64_t)token * inputs + from;
      int row = 0;
      for (; row + FEW_ROWS <= rows; row += FEW_ROWS) {
        rows_of(own, inputs, some, FEW_ROWS, now, row, token, scratch);
      }
      for (; row < rows; row++) {
        rows_of(own, inputs, some, 1, now, row, token, scratch);
      }
    }
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
