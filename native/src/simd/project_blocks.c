#include "project_fp8.h"
#include "rows.h"

/*
 * The projection with weights of all types but fp8 with tiles' scales: some inputs of a few
 * outputs' weights are widened into the first cache, where they serve all tokens. F32 and BF16 are
 * multiplied from where they lie. Lanes add PART / LANES products in float and go on in double, as
 * in project_fp8.c.
 */
#define ROWS 4
#define TOKENS 4
#define PART ENGRAM_PROJECT_GROUP /* inputs; whole blocks of every type */
#define CACHED_TOKENS 16

struct sums {
  doubles of[CACHED_TOKENS][ROWS];
};

/* Adds what some inputs give, for some tokens. */
INLINE void add(float weights[ROWS][PART], const float *in, int64_t inputs, int some,
                const int tokens, doubles (*to)[ROWS]) {
  floats sum[TOKENS][ROWS];
  for (int token = 0; token < tokens; token++) {
    for (int row = 0; row < ROWS; row++) {
      sum[token][row] = f_zero();
    }
  }
  for (int k = 0; k < some; k += LANES) {
    for (int token = 0; token < tokens; token++) {
      floats x = f_load(in + token * inputs + k);
      for (int row = 0; row < ROWS; row++) {
        sum[token][row] = f_fma(f_load(weights[row] + k), x, sum[token][row]);
      }
    }
  }
  for (int token = 0; token < tokens; token++) {
    for (int row = 0; row < ROWS; row++) {
      to[token][row] = d_add(d_fold(sum[token][row]), to[token][row]);
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

/* Tokens whose sums find registers with ROWS rows of F32 or BF16. */
#if defined(ENGRAM_SIMD_AVX512)
#define FLOAT_TOKENS 4
#else
#define FLOAT_TOKENS 2
#endif

/* Rows of a single token, as each sum waits for itself. */
#define ROWS_OF_ONE 8

/* A few tokens of F32 or BF16 weights. */
INLINE void floats_of(const struct engram_linear *linear, const int type, const float *in,
                      const int tokens, int output, const int rows, float *out,
                      int64_t out_stride) {
  const int64_t inputs = linear->inputs;
  const int64_t stride = linear->weight_stride;
  const int size = type == ENGRAM_F32 ? 4 : 2;
  const uint8_t *weights = (const uint8_t *)linear->weight + output * stride;
  doubles all[ROWS_OF_ONE][FLOAT_TOKENS];
  for (int row = 0; row < rows; row++) {
    for (int token = 0; token < tokens; token++) {
      all[row][token] = d_zero();
    }
  }
  for (int64_t from = 0; from < inputs; from += PART) {
    int64_t end = inputs - from < PART ? inputs : from + PART;
    floats sum[ROWS_OF_ONE][FLOAT_TOKENS];
    for (int row = 0; row < rows; row++) {
      for (int token = 0; token < tokens; token++) {
        sum[row][token] = f_zero();
      }
    }
    for (int64_t k = from; k < end; k += ENGRAM_BLOCK) {
      for (int row = 0; row < rows; row++) {
        const uint8_t *own = weights + row * stride + k * size;
        /* the same place in the next rows: hardware prefetchers stop at every page */
        __builtin_prefetch(own + rows * stride, 0, 2);
        for (int i = 0; i < VECTORS; i++) {
          const uint8_t *at = own + LANES * i * size;
          floats w = type == ENGRAM_F32 ? f_load(at) : f_load_bf16(at);
          for (int token = 0; token < tokens; token++) {
            floats x = f_load(in + token * inputs + k + LANES * i);
            sum[row][token] = f_fma(w, x, sum[row][token]);
          }
        }
      }
    }
    for (int row = 0; row < rows; row++) {
      for (int token = 0; token < tokens; token++) {
        all[row][token] = d_add(d_fold(sum[row][token]), all[row][token]);
      }
    }
  }
  for (int row = 0; row < rows; row++) {
    double bias = linear->bias ? linear->bias[output + row] : 0;
    for (int token = 0; token < tokens; token++) {
      float sum = (float)(d_sum(all[row][token]) + bias);
      engram_store_float(out + token * out_stride + row, sum);
    }
  }
}

/* Constant counts, so that sums get registers. */
INLINE void float_rows(const struct engram_linear *linear, const int type, const float *in,
                       int tokens, int output, const int rows, float *out, int64_t out_stride) {
  switch (tokens) {
    case 1:
      floats_of(linear, type, in, 1, output, rows, out, out_stride);
      break;
#if FLOAT_TOKENS > 2
    case 2:
      floats_of(linear, type, in, 2, output, rows, out, out_stride);
      break;
    case 3:
      floats_of(linear, type, in, 3, output, rows, out, out_stride);
      break;
#endif
    default:
      floats_of(linear, type, in, FLOAT_TOKENS, output, rows, out, out_stride);
  }
}

INLINE void float_tokens(const struct engram_linear *linear, const int type, const float *in,
                         int tokens, int first, int count, float *out, int64_t out_stride) {
  const int most = tokens == 1 ? ROWS_OF_ONE : ROWS;
  int step;
  for (int i = 0; i < count; i += step) {
    step = count - i >= most ? most : 1;
    for (int token = 0; token < tokens; token += FLOAT_TOKENS) {
      int some = tokens - token < FLOAT_TOKENS ? tokens - token : FLOAT_TOKENS;
      const float *own = in + (int64_t)token * linear->inputs;
      float *to = out + token * out_stride + i;
      if (step == ROWS_OF_ONE) {
        floats_of(linear, type, own, 1, first + i, ROWS_OF_ONE, to, out_stride);
      } else if (step == ROWS) {
        float_rows(linear, type, own, some, first + i, ROWS, to, out_stride);
      } else {
        float_rows(linear, type, own, some, first + i, 1, to, out_stride);
      }
    }
  }
}

INLINE void typed(const struct engram_linear *linear, const int type, const float *in,
                  int64_t tokens, int first, int count, float *out, int64_t out_stride) {
  for (int64_t token = 0; token < tokens; token += CACHED_TOKENS) {
    int some = tokens - token < CACHED_TOKENS ? (int)(tokens - token) : CACHED_TOKENS;
    if (type == ENGRAM_F32 || type == ENGRAM_BF16) {
      float_tokens(linear, type, in + token * linear->inputs, some, first, count,
                   out + token * out_stride, out_stride);
      continue;
    }
    for (int output = first; output < first + count; output += ROWS) {
      int rows = first + count - output < ROWS ? first + count - output : ROWS;
      outputs_of(linear, type, in + token * linear->inputs, some, output, rows,
                 out + token * out_stride + (output - first), out_stride);
    }
  }
}

/* All but those of one and two bits. */
#define WEIGHT_TYPES(T) \
  T(F32)                \
  T(BF16)               \
  T(F16)                \
  T(Q8_0)               \
  T(Q4_0)               \
  T(Q4_1)               \
  T(Q5_0)               \
  T(Q5_1)               \
  T(IQ4_NL)             \
  T(MXFP4)              \
  T(NVFP4)              \
  T(Q2_K)               \
  T(Q3_K)               \
  T(Q4_K)               \
  T(Q5_K)               \
  T(Q6_K)               \
  T(IQ4_XS)

int TIER(can_widen)(int type) {
  switch (type) {
#define CAN_WIDEN(name) case ENGRAM_##name:
    WEIGHT_TYPES(CAN_WIDEN)
    return 1;
    default:
      return 0;
  }
}

void TIER(widen)(int type, const uint8_t *from, int some, float *to) {
  switch (type) {
#define WIDEN(name)                       \
  case ENGRAM_##name:                     \
    widen(ENGRAM_##name, from, some, to); \
    break;
    WEIGHT_TYPES(WIDEN)
    default:
      break;
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
    WEIGHT_TYPES(TYPED)
    default:
      engram_scalar_project(linear, in, tokens, first, count, out, out_stride);
  }
}
