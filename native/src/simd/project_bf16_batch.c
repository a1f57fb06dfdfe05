#include "project_bf16.h"

/*
 * The projection of batches, of weights and inputs as in project_bf16.c: weights become bf16 once
 * for all tokens and take their tile's scale then, and inputs are packed once a call. There a row
 * of weights is looked up for every eight tokens, and inputs are scaled for every 32 rows. A
 * product is the same number either way and sums are added in the same order, so a token gets the
 * same bits.
 */

/* From so many tokens on this is faster. */
#define LEAST_TOKENS 17

/* Tokens that go together: at most, and so many that their inputs stay in the second cache while
   all weights go by once. All of V4.1's are 12 KB a token, those of one n-gram order 4. */
#define CHUNK 128
#define INPUT_BYTES (768 << 10)
#define LEAST_CHUNK 16

/* Rows that are looked up together: with the inputs of a few tokens they fit the first cache. */
#define ROWS 8

/* Rows, and tokens, whose sums stay in registers. */
#define FEW 4

struct scratch {
  uint16_t weights[ROWS][PART];
  double sums[ENGRAM_BLOCK][CHUNK];
  uint16_t inputs[]; /* [parts, tokens, PART] */
};

static int chunk_of(int64_t inputs) {
  int64_t fit = INPUT_BYTES / (inputs * (int64_t)sizeof(uint16_t));
  return fit > CHUNK ? CHUNK : fit < LEAST_CHUNK ? LEAST_CHUNK : (int)fit;
}

int64_t TIER(bf16_scratch)(const struct engram_linear *linear, int64_t tokens) {
  if (linear->type != ENGRAM_F8_E4M3) {
    return TIER(batch_scratch)(linear, tokens);
  }
  if (tokens < LEAST_TOKENS || !linear->nan_free || linear->inputs % STEP != 0) {
    return 0;
  }
  int64_t parts = ((int64_t)linear->inputs + PART - 1) / PART;
  int64_t most = chunk_of(linear->inputs);
  most = tokens < most ? tokens : most;
  return (int64_t)sizeof(struct scratch) + parts * most * PART * (int64_t)sizeof(uint16_t);
}

static void pack(const float *in, int64_t inputs, int tokens, uint16_t *packed) {
  const floats one = f_set(1);
  for (int64_t from = 0; from < inputs; from += PART) {
    int64_t some = inputs - from < PART ? inputs - from : PART;
    for (int token = 0; token < tokens; token++) {
      const float *own = in + token * inputs + from;
      for (int64_t k = 0; k < some; k += STEP) {
        store_inputs(own + k, one, one, packed + k);
      }
      packed += PART;
    }
  }
}

/* What the exponents of two tiles' weights grow by, in the order of the weights. */
INLINE __m512i exponents_of(const uint8_t *scales) {
  __m256i first = _mm256_set1_epi16((short)((scales[0] - 127) * 128));
  __m256i second = _mm256_set1_epi16((short)((scales[1] - 127) * 128));
  return _mm512_inserti64x4(_mm512_castsi256_si512(first), second, 1);
}

static void decode(const struct codes *codes, const uint8_t *weights, int64_t stride,
                   const uint8_t *scales, int64_t inputs, int rows, struct scratch *scratch) {
  const __m512i size = _mm512_set1_epi16(0x7fff);
  for (int64_t k = 0; k < inputs; k += STEP) {
    const __m512i more = exponents_of(scales + k / ENGRAM_BLOCK);
    for (int row = 0; row < rows; row++) {
      const uint8_t *own = weights + row * stride + k;
      __m512bh w[2];
      /* the block after this: hardware prefetchers would begin anew with every row */
      __builtin_prefetch(own + ROWS * stride, 0, 2);
      look_up(codes, own, w);
      for (int half = 0; half < 2; half++) {
        __m512i word = (__m512i)w[half];
        word = _mm512_mask_add_epi16(word, _mm512_test_epi16_mask(word, size), word, more);
        _mm512_storeu_si512(scratch->weights[row] + k + 32 * half, word);
      }
    }
  }
}

/* A part of some rows and tokens; the rows' weights, the tokens' inputs, the rows' sums. */
INLINE void dots(const uint16_t *weights, const uint16_t *in, int64_t inputs, const int rows,
                 const int tokens, double *sums) {
  floats sum[SUMS];
  for (int i = 0; i < SUMS; i++) {
    sum[i] = f_zero();
  }
  for (int64_t k = 0; k < inputs; k += STEP / 2) {
    __m512bh x[FEW];
    for (int token = 0; token < tokens; token++) {
      x[token] = (__m512bh)_mm512_loadu_si512(in + token * PART + k);
    }
    for (int row = 0; row < rows; row++) {
      __m512bh w = (__m512bh)_mm512_loadu_si512(weights + row * PART + k);
      for (int token = 0; token < tokens; token++) {
        floats *own = &sum[row * tokens + token];
        *own = _mm512_dpbf16_ps(*own, w, x[token]);
      }
    }
  }
  add_lanes(sum, rows, tokens, sums, CHUNK);
}

/* Constant counts, so that sums get registers. */
INLINE void rows_of(const uint16_t *weights, const uint16_t *in, int64_t inputs, const int rows,
                    int tokens, double *sums) {
  switch (tokens) {
    case 1:
      dots(weights, in, inputs, rows, 1, sums);
      break;
    case 2:
      dots(weights, in, inputs, rows, 2, sums);
      break;
    case 3:
      dots(weights, in, inputs, rows, 3, sums);
      break;
    default:
      dots(weights, in, inputs, rows, FEW, sums);
  }
}

/* A part of the rows that were looked up, of all tokens. */
static void multiply(const uint16_t *in, int64_t inputs, int rows, int tokens, int first,
                     struct scratch *scratch) {
  for (int token = 0; token < tokens; token += FEW) {
    int few = tokens - token < FEW ? tokens - token : FEW;
    const uint16_t *own = in + (int64_t)token * PART;
    int row = 0;
    for (; row + FEW <= rows; row += FEW) {
      rows_of(scratch->weights[row], own, inputs, FEW, few, scratch->sums[first + row] + token);
    }
    for (; row < rows; row++) {
      rows_of(scratch->weights[row], own, inputs, 1, few, scratch->sums[first + row] + token);
    }
  }
}

/* Outputs [output, output + rows), all of one row of scales, of up to CHUNK packed tokens. */
static void outputs_of(const struct engram_linear *linear, const struct codes *codes, int tokens,
                       int output, int rows, float *out, int64_t out_stride,
                       struct scratch *scratch) {
  const int64_t inputs = linear->inputs;
  const int64_t stride = linear->weight_stride;
  const uint8_t *weights = (const uint8_t *)linear->weight + output * stride;
  const uint8_t *scales = engram_scales_of(linear, output);
  const uint16_t *in = scratch->inputs;
  __builtin_memset(scratch->sums, 0, sizeof scratch->sums[0] * (size_t)rows);
  for (int64_t from = 0; from < inputs; from += PART) {
    int64_t some = inputs - from < PART ? inputs - from : PART;
    for (int row = 0; row < rows; row += ROWS) {
      int now = rows - row < ROWS ? rows - row : ROWS;
      decode(codes, weights + row * stride + from, stride, scales + from / ENGRAM_BLOCK, some, now,
             scratch);
      multiply(in, some, now, tokens, row, scratch);
    }
    in += (int64_t)tokens * PART;
  }
  for (int token = 0; token < tokens; token++) {
    for (int row = 0; row < rows; row++) {
      double bias = linear->bias ? linear->bias[output + row] : 0;
      float sum = (float)(scratch->sums[row][token] + bias);
      engram_store_float(out + token * out_stride + row, sum);
    }
  }
}

static void chunk(const struct engram_linear *linear, const struct codes *codes, const float *in,
                  int tokens, int first, int count, float *out, int64_t out_stride,
                  struct scratch *scratch) {
  int some;
  pack(in, linear->inputs, tokens, scratch->inputs);
  for (int output = first; output < first + count; output += some) {
    some = engram_in_one_tile(output, first + count);
    const uint8_t *scales = engram_scales_of(linear, output);
    float *to = out + (output - first);
    if (TIER(ordinary_scales)(scales, linear->inputs / ENGRAM_BLOCK)) {
      outputs_of(linear, codes, tokens, output, some, to, out_stride, scratch);
    } else {
      TIER(project)(linear, in, tokens, output, some, to, out_stride);
    }
  }
}

void TIER(bf16_batch)(const struct engram_linear *linear, const float *in, int64_t tokens,
                      int first, int count, float *out, int64_t out_stride, void *scratch) {
  if (linear->type != ENGRAM_F8_E4M3) {
    TIER(project_batch)(linear, in, tokens, first, count, out, out_stride, scratch);
    return;
  }
  const int64_t inputs = linear->inputs;
  const struct codes codes = codes_as_bf16();
  const int most = chunk_of(inputs);
  int some;
  for (int64_t from = 0; from < tokens; from += some) {
    const float *own = in + from * inputs;
    float *to = out + from * out_stride;
    int is_short;
    some = engram_of_one_kind(are_bf16, own, inputs, tokens - from, most, &is_short);
    if (is_short) {
      chunk(linear, &codes, own, some, first, count, to, out_stride, scratch);
    } else {
      TIER(project)(linear, own, some, first, count, to, out_stride);
    }
  }
}
