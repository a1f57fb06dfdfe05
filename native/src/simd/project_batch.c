#include "project_batch.h"
#if !defined(ENGRAM_SIMD_AVX2)
#include "project_few.h"
#endif

/*
 * The projection of batches: a block of weights becomes floats once for all tokens, with its scale,
 * where project_fp8.c does it for every four and project_blocks.c for every sixteen. A product is
 * the same number either way and sums are added in the same order, so a token gets the same bits.
 * Of fp8 weights, only ordinary numbers go this way.
 *
 * A block of weights and the inputs of a few tokens fit the first cache together (16 and 12 KB with
 * AVX-512). Inputs are packed before, as rows of 24 KB, like V4.1's, would all fall on the same
 * lines of it.
 */
#define LEAST_TOKENS 5
#if defined(ENGRAM_SIMD_AVX512)
#define LEAST_OF_FLOATS 17 /* which need no decoding */
#else
#define LEAST_OF_FLOATS 9
#endif
#define LINE 64

int64_t TIER(batch_scratch)(const struct engram_linear *linear, int64_t tokens) {
  int known = linear->type == ENGRAM_F8_E4M3 ? linear->nan_free : TIER(can_widen)(linear->type);
  int plain = linear->type == ENGRAM_F32 || linear->type == ENGRAM_BF16;
  int least = plain ? LEAST_OF_FLOATS : LEAST_TOKENS;
  if (tokens < least || !known || linear->inputs % ENGRAM_BLOCK != 0) {
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

static void decode_fp8(const uint8_t *weights, int64_t stride, const uint8_t *scales,
                       int64_t inputs, int rows, struct scratch *scratch) {
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

/* Inputs [from, from + some) of rows of other types. */
static void decode_other(int type, const uint8_t *weights, int64_t stride, int64_t from,
                         int64_t some, int rows, struct scratch *scratch) {
  int64_t at = engram_row_bytes(type, from);
  int64_t end = engram_row_bytes(type, from + some);
  for (int row = 0; row < rows; row++) {
    const uint8_t *own = weights + row * stride;
    for (int64_t ahead = at; ahead < end; ahead += LINE) { /* the block after this */
      __builtin_prefetch(own + ahead + ROWS * stride, 0, 2);
    }
    TIER(widen)(type, own + at, (int)some, scratch->weights[row]);
  }
}

/* How a block of weights lies in the scratch. */
enum { FLOATS, HALVES };

INLINE const uint8_t *row_of(const struct scratch *scratch, const int as, int row) {
  return (const uint8_t *)scratch->weights + row * (int64_t)GROUP * (as == FLOATS ? 4 : 2);
}

INLINE floats weights_at(const uint8_t *row, const int as, int64_t k) {
  return as == FLOATS ? f_load(row + 4 * k) : f_load_half(row + 2 * k);
}

/*
 * Asks for a tile of some of the rows that are decoded next, each line once. While products are
 * computed, as decoding, which reads a block of weights in one go, leaves memory idle between.
 */
INLINE void ask_soon(const uint8_t *soon, int64_t stride, int64_t k, const int rows) {
  const int64_t odd = k / ENGRAM_BLOCK % 2; /* a line has two tiles */
  for (int row = 0; row < rows; row += LINE / ENGRAM_BLOCK) {
    __builtin_prefetch(soon + (row + odd) * stride + k, 0, 2);
  }
}

/* What all groups of rows and tokens have in common. */
struct block {
  const float *in;     /* [tokens, GROUP] */
  const uint8_t *soon; /* the codes that are decoded next, or null */
  int64_t stride;      /* of their rows */
  int64_t inputs;
};

/* A group of some rows and tokens. */
INLINE void dots(const struct block *block, const uint8_t *weights, const int as, const int rows,
                 const int tokens, int row, int token, token_sums *sums) {
  const int64_t bytes = GROUP * (as == FLOATS ? 4 : 2);
  const float *in = block->in + token * (int64_t)GROUP;
  const uint8_t *soon = token == 0 && block->soon ? block->soon + row * block->stride : NULL;
  floats sum[FEW_ROWS][FEW_TOKENS];
  for (int r = 0; r < rows; r++) {
    for (int t = 0; t < tokens; t++) {
      sum[r][t] = f_zero();
    }
  }
  for (int64_t k = 0; k < block->inputs; k += AT_ONCE * LANES) {
    if (soon) {
      ask_soon(soon, block->stride, k, rows);
    }
#pragma GCC unroll 4
    for (int64_t i = k; i < k + AT_ONCE * LANES; i += LANES) {
      floats x[FEW_TOKENS];
      for (int t = 0; t < tokens; t++) {
        x[t] = f_load(in + t * GROUP + i);
      }
      for (int r = 0; r < rows; r++) {
        floats w = weights_at(weights + r * bytes, as, i);
        for (int t = 0; t < tokens; t++) {
          sum[r][t] = f_fma(w, x[t], sum[r][t]);
        }
      }
    }
  }
  for (int r = 0; r < rows; r++) {
    for (int t = 0; t < tokens; t++) {
      add_to(sums[row + r][token + t], sum[r][t]);
    }
  }
}

/* Constant counts, so that sums get registers. */
INLINE void rows_of(const struct block *block, const uint8_t *weights, const int as, const int rows,
                    int tokens, int row, int token, token_sums *sums) {
  switch (tokens) {
#define DOTS(tokens)                                          \
  case tokens:                                                \
    dots(block, weights, as, rows, tokens, row, token, sums); \
    break;
#if FEW_TOKENS > 3
    DOTS(6)
    DOTS(5)
    DOTS(4)
#endif
    DOTS(3)
    DOTS(2)
    default:
      DOTS(1)
  }
}

/* A group of the rows that were decoded, of all tokens: evenly, as one token alone costs most. */
INLINE void multiply(const struct block *block, const int as, int rows, int tokens,
                     const struct scratch *scratch, token_sums *sums) {
  const int parts = (tokens + FEW_TOKENS - 1) / FEW_TOKENS;
  for (int part = 0; part < parts; part++) {
    int token = tokens * part / parts;
    int few = tokens * (part + 1) / parts - token;
    int row = 0;
    for (; row + FEW_ROWS <= rows; row += FEW_ROWS) {
      rows_of(block, row_of(scratch, as, row), as, FEW_ROWS, few, row, token, sums);
    }
    for (; row < rows; row++) {
      rows_of(block, row_of(scratch, as, row), as, 1, few, row, token, sums);
    }
  }
}

/* Adds the products of packed tokens with some rows, of one row of scales where there are any. */
static void sums_of_many(const struct engram_linear *linear, int output, int tokens, int rows,
                         struct scratch *scratch) {
  const int is_fp8 = linear->type == ENGRAM_F8_E4M3;
  const int64_t inputs = linear->inputs;
  const int64_t stride = linear->weight_stride;
  const uint8_t *weights = (const uint8_t *)linear->weight + output * stride;
  const uint8_t *scales = is_fp8 ? engram_scales_of(linear, output) : NULL;
  struct block block = {scratch->inputs, NULL, stride, 0};
  for (int64_t from = 0; from < inputs; from += GROUP) {
    block.inputs = inputs - from < GROUP ? inputs - from : GROUP;
    for (int row = 0; row < rows; row += ROWS) {
      int now = rows - row < ROWS ? rows - row : ROWS;
      const uint8_t *own = weights + row * stride;
      if (is_fp8) {
        decode_fp8(own + from, stride, scales + from / ENGRAM_BLOCK, block.inputs, now, scratch);
      } else {
        decode_other(linear->type, own, stride, from, block.inputs, now, scratch);
      }
      multiply(&block, FLOATS, now, tokens, scratch, scratch->sums + row);
    }
    block.in += (int64_t)tokens * GROUP;
  }
}

#if defined(ENGRAM_SIMD_AVX2)
INLINE void decode_halves(const uint8_t *codes, int64_t stride, int64_t inputs, int rows,
                          struct scratch *scratch) {
  uint16_t *to = (uint16_t *)scratch->weights;
  for (int row = 0; row < rows; row++) {
    for (int64_t k = 0; k < inputs; k += ENGRAM_BLOCK) {
      f_e4m3_halves(codes + row * stride + k, to + row * GROUP + k);
    }
  }
}

/*
 * Likewise, of few tokens, by halves. A cycle stores one vector, so that floats take twice as long
 * to store, and converting halves from memory takes ports of AMD's cores that products leave free.
 * Inputs are scaled instead, once for all rows of the tiles. Rows are read to their end, eight at a
 * time: memory gave 12 GB/s so, and 10 for a group of all rows after the other (Zen 3).
 */
static void sums_of_few(const struct engram_linear *linear, int output, const float *in, int tokens,
                        int rows, struct scratch *scratch) {
  const int64_t inputs = linear->inputs;
  const int64_t stride = linear->weight_stride;
  const uint8_t *weights = (const uint8_t *)linear->weight + output * stride;
  const uint8_t *scales = engram_scales_of(linear, output);
  float(*scaled)[GROUP] = (float(*)[GROUP])scratch->inputs;
  for (int64_t from = 0; from < inputs; from += GROUP) {
    int64_t some = inputs - from < GROUP ? inputs - from : GROUP;
    scale_inputs(in + from, inputs, scales + from / ENGRAM_BLOCK, some, tokens,
                 scaled + from / GROUP * tokens);
  }
  struct block block = {NULL, NULL, stride, 0};
  for (int row = 0; row < rows; row += ROWS) {
    int now = rows - row < ROWS ? rows - row : ROWS;
    for (int64_t from = 0; from < inputs; from += GROUP) {
      const uint8_t *own = weights + row * stride + from;
      block.in = scratch->inputs + from * tokens;
      block.inputs = inputs - from < GROUP ? inputs - from : GROUP;
      block.soon = from + GROUP < inputs ? own + GROUP : own + ROWS * stride - from;
      decode_halves(own, stride, block.inputs, now, scratch);
      multiply(&block, HALVES, now, tokens, scratch, scratch->sums + row);
    }
  }
}
#endif

/* Whether tokens go the way of few. */
static int are_few(const struct engram_linear *linear, int tokens) {
  return linear->type == ENGRAM_F8_E4M3 && tokens <= MOST_OF_FEW;
}

/* Outputs [output, output + rows), all of one row of scales, of up to CHUNK tokens. */
static void outputs_of(const struct engram_linear *linear, const float *in, int tokens, int output,
                       int rows, float *out, int64_t out_stride, struct scratch *scratch) {
  for (int row = 0; row < rows; row++) {
    __builtin_memset(scratch->sums[row], 0, sizeof scratch->sums[0][0] * (size_t)tokens);
  }
  if (are_few(linear, tokens)) {
    sums_of_few(linear, output, in, tokens, rows, scratch);
  } else {
    sums_of_many(linear, output, tokens, rows, scratch);
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
  if (!are_few(linear, tokens)) {
    pack(in, linear->inputs, tokens, scratch->inputs);
  }
  for (int output = first; output < first + count; output += some) {
    some = engram_in_one_tile(output, first + count);
    float *to = out + (output - first);
    if (linear->type != ENGRAM_F8_E4M3 ||
        TIER(ordinary_scales)(engram_scales_of(linear, output), linear->inputs / ENGRAM_BLOCK)) {
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
    int goes = 1;
    if (linear->type == ENGRAM_F8_E4M3) {
      some = engram_of_one_kind(TIER(ordinary_inputs), own, inputs, tokens - from, CHUNK, &goes);
    } else {
      some = tokens - from < CHUNK ? (int)(tokens - from) : CHUNK;
    }
    if (goes) {
      chunk(linear, own, some, first, count, to, out_stride, scratch);
    } else {
      TIER(project)(linear, own, some, first, count, to, out_stride);
    }
  }
}
