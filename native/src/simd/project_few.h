/*
 * The way of batches that are so small that weights become floats in registers, once or twice for
 * all tokens: storing them costs more than decoding them again. project_batch.c says when. AVX2 has
 * too few registers for it, and a way of its own there.
 */
#ifndef ENGRAM_PROJECT_FEW_H
#define ENGRAM_PROJECT_FEW_H

#include "project_batch.h"

/* Tokens whose sums of two or of FEW_ROWS rows stay in registers. */
#define FEWEST_ROWS 2
#define TOKENS_OF_TWO 8

/* A group of some rows and tokens; `ahead` is where a row's weights of the next group lie. */
INLINE void decoded_dots(const uint8_t *codes, int64_t stride, int64_t ahead,
                         const float (*in)[GROUP], int64_t inputs, const int rows, const int tokens,
                         token_sums *sums, int token) {
  floats sum[FEW_ROWS][TOKENS_OF_TWO];
  for (int r = 0; r < rows; r++) {
    for (int t = 0; t < tokens; t++) {
      sum[r][t] = f_zero();
    }
  }
  for (int64_t k = 0; k < inputs; k += ENGRAM_BLOCK) {
    floats w[FEW_ROWS][ENGRAM_BLOCK / LANES];
    for (int r = 0; r < rows; r++) {
      const uint8_t *own = codes + r * stride + k;
      __builtin_prefetch(own + ahead, 0, 2);
      f_e4m3_tile(own, w[r]);
    }
    for (int i = 0; i < ENGRAM_BLOCK / LANES; i++) {
      for (int t = 0; t < tokens; t++) {
        floats x = f_load(in[t] + k + LANES * i);
        for (int r = 0; r < rows; r++) {
          sum[r][t] = f_fma(w[r][i], x, sum[r][t]);
        }
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
INLINE void decoded_rows(const uint8_t *codes, int64_t stride, int64_t ahead,
                         const float (*in)[GROUP], int64_t inputs, int rows, const int of,
                         const int tokens, token_sums *sums, int token) {
  int row = 0;
  for (; row + of <= rows; row += of) {
    decoded_dots(codes + row * stride, stride, ahead, in, inputs, of, tokens, sums + row, token);
  }
  for (; row < rows; row++) {
    decoded_dots(codes + row * stride, stride, ahead, in, inputs, 1, tokens, sums + row, token);
  }
}

/* A group of all rows of a tile and some tokens. */
static void few_tokens(const uint8_t *codes, int64_t stride, int64_t ahead,
                       const float (*in)[GROUP], int64_t inputs, int rows, int tokens,
                       token_sums *sums, int token) {
  switch (tokens) {
#define DECODED_ROWS(tokens, of)                                                   \
  case tokens:                                                                     \
    decoded_rows(codes, stride, ahead, in, inputs, rows, of, tokens, sums, token); \
    break;
    DECODED_ROWS(1, FEW_ROWS)
    DECODED_ROWS(2, FEW_ROWS)
    DECODED_ROWS(3, FEW_ROWS)
    DECODED_ROWS(4, FEW_ROWS)
    DECODED_ROWS(5, FEW_ROWS)
    DECODED_ROWS(6, FEW_ROWS)
    DECODED_ROWS(7, FEWEST_ROWS)
    default:
      DECODED_ROWS(TOKENS_OF_TWO, FEWEST_ROWS)
  }
}

/* Adds the products of up to MOST_OF_FEW tokens with the rows of a tile. */
static void sums_of_few(const struct engram_linear *linear, int output, const float *in, int tokens,
                        int rows, struct scratch *scratch) {
  const int64_t inputs = linear->inputs;
  const int64_t stride = linear->weight_stride;
  const uint8_t *weights = (const uint8_t *)linear->weight + output * stride;
  const uint8_t *scales = engram_scales_of(linear, output);
  float(*scaled)[GROUP] = scratch->weights; /* as many rows, and not needed for weights here */
  const int parts = tokens <= TOKENS_OF_TWO ? 1 : 2;
  for (int64_t from = 0; from < inputs; from += GROUP) {
    int64_t some = inputs - from < GROUP ? inputs - from : GROUP;
    /* hardware prefetchers would begin anew with every row of a group */
    int64_t ahead = from + some < inputs ? some : ENGRAM_BLOCK * stride - from;
    for (int part = 0; part < parts; part++) {
      int token = tokens * part / parts;
      int now = tokens * (part + 1) / parts - token;
      scale_inputs(in + token * inputs + from, inputs, scales + from / ENGRAM_BLOCK, some, now,
                   scaled);
      few_tokens(weights + from, stride, part == 0 ? ahead : 0, (const float(*)[GROUP])scaled, some,
                 rows, now, scratch->sums, token);
    }
  }
}

#endif
