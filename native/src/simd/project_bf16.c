#if !defined(__AVX512BF16__) || !defined(__AVX512VBMI__)
#error "this tier is AVX-512 with BF16 and VBMI"
#endif
#include "project_fp8.h"

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

#define STEP 64 /* weights that are looked up at once */
#define PART 1024
#define TOKENS 8
#define SUMS 16

/* Rows of one token: fewer than SUMS, which would read from twice as many pages at once. */
#define ROWS_OF_ONE 8

/* Tokens whose inputs stay in the second cache beside 32 rows of weights. */
#define CACHED_TOKENS 16

/* The upper and the lower bytes of what codes are as bf16, by the 7 bits of their size. */
struct codes {
  __m512i upper[2];
  __m512i lower[2];
};

static struct codes codes_as_bf16(void) {
  uint8_t upper[128];
  uint8_t lower[128];
  for (int size = 0; size < 128; size++) {
    uint32_t bits = engram_float_to_bits(engram_e4m3((uint8_t)size)) >> 16;
    upper[size] = (uint8_t)(bits >> 8);
    lower[size] = (uint8_t)bits;
  }
  struct codes codes;
  for (int half = 0; half < 2; half++) {
    codes.upper[half] = _mm512_loadu_si512(upper + 64 * half);
    codes.lower[half] = _mm512_loadu_si512(lower + 64 * half);
  }
  return codes;
}

/* 64 weights: the first 8 of every 16, then the others. */
INLINE void look_up(const struct codes *codes, const uint8_t *from, __m512bh w[2]) {
  __m512i code = _mm512_loadu_si512(from);
  __m512i upper = _mm512_permutex2var_epi8(codes->upper[0], code, codes->upper[1]);
  __m512i lower = _mm512_permutex2var_epi8(codes->lower[0], code, codes->lower[1]);
  upper = _mm512_ternarylogic_epi32(upper, code, _mm512_set1_epi8((char)0x80), 0xf8); /* | & */
  w[0] = (__m512bh)_mm512_unpacklo_epi8(lower, upper);
  w[1] = (__m512bh)_mm512_unpackhi_epi8(lower, upper);
}

/* Whether inputs are ordinary and lose nothing as bf16. */
static int are_bf16(const float *in, int64_t inputs) {
  __m512i low = _mm512_setzero_si512();
  for (int64_t i = 0; i < inputs; i += LANES) {
    low = _mm512_or_si512(low, _mm512_loadu_si512(in + i));
  }
  return !_mm512_test_epi32_mask(low, _mm512_set1_epi32(0xffff)) &&
         TIER(ordinary_inputs)(in, inputs);
}

/* Inputs times their tiles' scales as bf16, in the order of the weights. */
static void scale_inputs(const float *in, const uint8_t *scales, int64_t inputs, uint16_t *to) {
  const __m512i order = _mm512_setr_epi32(
      0x00030001, 0x00070005, 0x000b0009, 0x000f000d, 0x00230021, 0x00270025, 0x002b0029,
      0x002f002d, 0x00130011, 0x00170015, 0x001b0019, 0x001f001d, 0x00330031, 0x00370035,
      0x003b0039, 0x003f003d); /* upper halves of the first 8 of each, then of the others */
  for (int64_t k = 0; k < inputs; k += STEP) {
    __m512i halves[2];
    for (int tile = 0; tile < 2; tile++) {
      floats scale = f_set(engram_bits_to_float((uint32_t)scales[k / ENGRAM_BLOCK + tile] << 23));
      const float *own = in + k + ENGRAM_BLOCK * tile;
      __m512i first = _mm512_castps_si512(f_mul(f_load(own), scale));
      __m512i second = _mm512_castps_si512(f_mul(f_load(own + LANES), scale));
      halves[tile] = _mm512_permutex2var_epi16(first, order, second);
    }
    _mm512_storeu_si512(to + k, _mm512_shuffle_i64x2(halves[0], halves[1], 0x44));
    _mm512_storeu_si512(to + k + 32, _mm512_shuffle_i64x2(halves[0], halves[1], 0xee));
  }
}

/* The sums of the lanes of each of 16 vectors. */
INLINE floats lane_sums(floats v[SUMS]) {
  for (int i = 0; i < 8; i++) {
    v[i] = f_add(_mm512_unpacklo_ps(v[i], v[i + 8]), _mm512_unpackhi_ps(v[i], v[i + 8]));
  }
  for (int i = 0; i < 4; i++) {
    __m512d a = _mm512_castps_pd(v[i]);
    __m512d b = _mm512_castps_pd(v[i + 4]);
    v[i] = f_add(_mm512_castpd_ps(_mm512_unpacklo_pd(a, b)),
                 _mm512_castpd_ps(_mm512_unpackhi_pd(a, b)));
  }
  for (int i = 0; i < 2; i++) {
    v[i] = f_add(_mm512_shuffle_f32x4(v[i], v[i + 2], 0x88),
                 _mm512_shuffle_f32x4(v[i], v[i + 2], 0xdd));
  }
  return f_add(_mm512_shuffle_f32x4(v[0], v[1], 0x88), _mm512_shuffle_f32x4(v[0], v[1], 0xdd));
}

/* The same of 8 vectors: each sum is added in the same order. */
INLINE void lane_sums_of_8(floats v[SUMS], float *all) {
  for (int i = 0; i < 4; i++) {
    v[i] = f_add(_mm512_unpacklo_ps(v[i], v[i + 4]), _mm512_unpackhi_ps(v[i], v[i + 4]));
  }
  for (int i = 0; i < 2; i++) {
    __m512d a = _mm512_castps_pd(v[i]);
    __m512d b = _mm512_castps_pd(v[i + 2]);
    v[i] = f_add(_mm512_castpd_ps(_mm512_unpacklo_pd(a, b)),
                 _mm512_castpd_ps(_mm512_unpackhi_pd(a, b)));
  }
  floats four =
      f_add(_mm512_shuffle_f32x4(v[0], v[1], 0x88), _mm512_shuffle_f32x4(v[0], v[1], 0xdd));
  floats two = f_add(four, _mm512_shuffle_f32x4(four, four, 0xb1));
  _mm512_storeu_ps(all, two);
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
    if (rows <= 4) {
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
  float all[SUMS];
  if (rows * tokens == 8) {
    lane_sums_of_8(sum, all);
    for (int i = 0; i < 8; i++) {
      /* where it puts the i-th */
      int at = (i & 4) >> 2 | (i & 2) | (i & 1) << 3;
      sums[i / tokens * TOKENS + i % tokens] += all[at];
    }
    return;
  }
  f_store(all, lane_sums(sum));
  for (int row = 0; row < rows; row++) {
    for (int token = 0; token < tokens; token++) {
      int i = row * tokens + token;
      /* where lane_sums puts the i-th */
      int at = (i & 8) >> 3 | (i & 4) >> 1 | (i & 2) << 1 | (i & 1) << 3;
      sums[row * TOKENS + token] += all[at];
    }
  }
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
};
