#include "project_fp8.h"
#if defined(ENGRAM_PORTABLE_TILES)
#include "../../test/portable_tiles.h"
#define BELOW engram_avx2_kernels
#else
#include "amx.h"
#define BELOW engram_avx512_bf16_kernels
#endif

/*
 * The projection of batches of fp8 weights and inputs that are bf16 numbers, as those of fp8 tables
 * are: tiles of 16 outputs x 32 inputs times tiles of 32 inputs x 16 tokens. Weights become bf16
 * once for all tokens and take their scale then, a power of two; inputs are packed once a call.
 *
 * The instruction takes subnormal numbers for zeros and gives none. There are none: inputs and
 * scales are ordinary, and so are products, as project_fp8.c says.
 *
 * 32 sums of 32 products are added in float, and parts in double. The order is the same however
 * many tokens and outputs go together, but another one than that of smaller batches, which go by
 * the tier below.
 */
#define TILE 16
#define STEP ENGRAM_BLOCK
#define PART 1024
#define TILE_BYTES 1024

/* From so many tokens on tiles are faster. */
#define LEAST_TOKENS 4

/* Tokens whose inputs stay in the second cache while all weights go by once. */
#define CHUNK 64

struct scratch {
  double sums[CHUNK / TILE][2][TILE][TILE]; /* of tokens, halves of outputs, outputs, tokens */
  float part[2][2][TILE][TILE];
  uint16_t weights[PART / STEP][2][TILE][STEP];
  uint16_t inputs[]; /* tiles: [inputs / STEP][CHUNK / TILE] */
};

static int64_t scratch_bytes(const struct engram_linear *linear, int64_t tokens) {
  if (linear->type != ENGRAM_F8_E4M3) {
    return BELOW.batch_scratch(linear, tokens);
  }
  if (tokens < LEAST_TOKENS || !linear->nan_free || linear->inputs % STEP != 0) {
    return 0;
  }
  int64_t tiles = linear->inputs / STEP * (CHUNK / TILE);
  return (int64_t)sizeof(struct scratch) + tiles * TILE_BYTES;
}

static uint16_t *input_tile(struct scratch *scratch, int64_t step, int tile) {
  return scratch->inputs + (step * (CHUNK / TILE) + tile) * (TILE_BYTES / 2);
}

/* Whether inputs are ordinary and lose nothing as bf16. */
static int are_bf16(const float *in, int64_t inputs) {
  uint32_t low = 0;
  for (int64_t i = 0; i < inputs; i++) {
    low |= engram_float_to_bits(engram_load_float(in + i));
  }
  return !(low & 0xffff) && TIER(ordinary_inputs)(in, inputs);
}

static void pack_inputs(const float *in, int64_t inputs, int tokens, struct scratch *scratch) {
  for (int64_t step = 0; step < inputs / STEP; step++) {
    for (int tile = 0; tile * TILE < tokens; tile++) {
      int some = tokens - tile * TILE < TILE ? tokens - tile * TILE : TILE;
      pack(in + tile * TILE * inputs + step * STEP, inputs, some, input_tile(scratch, step, tile));
    }
  }
}

/*
 * `rows` outputs of a part as bf16. Two steps at a time, a line of each row: rows lie a multiple of
 * 2 KB apart, so that 32 of them do not stay in the first cache from one step to the next. To ask
 * for what is decoded next, here or while tiles are multiplied, gains nothing.
 */
static void decode(const uint16_t words[128], const uint8_t *weights, int64_t stride,
                   const uint8_t *scales, int64_t inputs, int rows, struct scratch *scratch) {
  for (int64_t step = 0; step < inputs / STEP; step += 2) {
    const int both = step + 1 < inputs / STEP;
    const struct codes first = codes_times(words, scales[step]);
    const struct codes second = codes_times(words, scales[step + both]);
    for (int row = 0; row < rows; row += 2) {
      const uint8_t *own = weights + row * stride + step * STEP;
      const uint8_t *next = row + 1 < rows ? own + stride : own;
      uint16_t(*to)[STEP] = &scratch->weights[step][row / TILE][row % TILE];
      two_rows(&first, own, next, to[0], to[1]);
      if (both) {
        to = &scratch->weights[step + 1][row / TILE][row % TILE];
        two_rows(&second, own + STEP, next + STEP, to[0], to[1]);
      }
    }
  }
}

static void add_part(const float part[TILE][TILE], double sums[TILE][TILE]) {
  for (int i = 0; i < TILE; i++) {
    for (int j = 0; j < TILE; j++) {
      sums[i][j] += part[i][j];
    }
  }
}

/* Two tiles of tokens, or one, times both halves of the outputs. */
static void dot_part(struct scratch *scratch, int64_t first_step, int64_t steps, int tile,
                     int pair) {
  T_BEGIN;
  T_ZERO(0);
  T_ZERO(1);
  T_ZERO(2);
  T_ZERO(3);
  for (int64_t step = 0; step < steps; step++) {
    T_LOAD(4, scratch->weights[step][0]);
    T_LOAD(6, input_tile(scratch, first_step + step, tile));
    T_DOT(0, 4, 6);
    T_LOAD(5, scratch->weights[step][1]);
    T_DOT(2, 5, 6);
    if (pair) {
      T_LOAD(7, input_tile(scratch, first_step + step, tile + 1));
      T_DOT(1, 4, 7);
      T_DOT(3, 5, 7);
    }
  }
  T_STORE(0, scratch->part[0][0]);
  T_STORE(1, scratch->part[1][0]);
  T_STORE(2, scratch->part[0][1]);
  T_STORE(3, scratch->part[1][1]);
  T_END;
  for (int some = 0; some <= pair; some++) {
    for (int half = 0; half < 2; half++) {
      add_part(scratch->part[some][half], scratch->sums[tile + some][half]);
    }
  }
}

/* Outputs [output, output + rows), all of one row of scales. */
static void outputs_of(const struct engram_linear *linear, const uint16_t words[128], int tokens,
                       int output, int rows, float *out, int64_t out_stride,
                       struct scratch *scratch) {
  const int64_t inputs = linear->inputs;
  const int64_t stride = linear->weight_stride;
  const uint8_t *weights = (const uint8_t *)linear->weight + output * stride;
  const uint8_t *scales = engram_scales_of(linear, output);
  const int tiles = (tokens + TILE - 1) / TILE;
  __builtin_memset(scratch->sums, 0, sizeof scratch->sums[0] * (size_t)tiles);
  for (int64_t from = 0; from < inputs; from += PART) {
    int64_t some = inputs - from < PART ? inputs - from : PART;
    decode(words, weights + from, stride, scales + from / STEP, some, rows, scratch);
    for (int tile = 0; tile < tiles; tile += 2) {
      dot_part(scratch, from / STEP, some / STEP, tile, tile + 1 < tiles);
    }
  }
  /* token by token: their outputs often lie a multiple of 4 KB apart, and share a line's place in
     the first cache */
  for (int token = 0; token < tokens; token++) {
    for (int row = 0; row < rows; row++) {
      double bias = linear->bias ? linear->bias[output + row] : 0;
      double sum = scratch->sums[token / TILE][row / TILE][row % TILE][token % TILE];
      engram_store_float(out + token * out_stride + row, (float)(sum + bias));
    }
  }
}

static void chunk(const struct engram_linear *linear, const uint16_t words[128], const float *in,
                  int tokens, int first, int count, float *out, int64_t out_stride,
                  struct scratch *scratch) {
  int some;
  pack_inputs(in, linear->inputs, tokens, scratch);
  for (int output = first; output < first + count; output += some) {
    some = engram_in_one_tile(output, first + count);
    const uint8_t *scales = engram_scales_of(linear, output);
    float *to = out + (output - first);
    if (TIER(ordinary_scales)(scales, linear->inputs / ENGRAM_BLOCK)) {
      outputs_of(linear, words, tokens, output, some, to, out_stride, scratch);
    } else {
      BELOW.project(linear, in, tokens, output, some, to, out_stride);
    }
  }
}

static void project_batch(const struct engram_linear *linear, const float *in, int64_t tokens,
                          int first, int count, float *out, int64_t out_stride, void *scratch) {
  if (linear->type != ENGRAM_F8_E4M3) {
    BELOW.project_batch(linear, in, tokens, first, count, out, out_stride, scratch);
    return;
  }
  const int64_t inputs = linear->inputs;
  uint16_t words[128];
  for (int size = 0; size < 128; size++) {
    words[size] = (uint16_t)(engram_float_to_bits(engram_e4m3((uint8_t)size)) >> 16);
  }
  int some;
  for (int64_t from = 0; from < tokens; from += some) {
    const float *own = in + from * inputs;
    float *to = out + from * out_stride;
    int is_short;
    some = engram_of_one_kind(are_bf16, own, inputs, tokens - from, CHUNK, &is_short);
    if (is_short) {
      chunk(linear, words, own, some, first, count, to, out_stride, scratch);
    } else {
      BELOW.project(linear, own, some, first, count, to, out_stride);
    }
  }
}

static void abandon(void) {
  T_BEGIN;
  T_END;
}

const struct engram_kernels engram_amx_bf16_kernels = {
    .below = &BELOW,
    .batch_scratch = scratch_bytes,
    .project_batch = project_batch,
    .abandon = abandon,
};
