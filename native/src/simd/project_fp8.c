#include "project_fp8.h"

/*
 * A word of this way alone:
 *   d_store4  the sums of four, added as d_sum does, and a bias each, as floats
 */
#if defined(ENGRAM_SIMD_AVX512)
INLINE void d_store4(float *to, const doubles x[4], const double bias[4]) {
  __m256d first = _mm256_hadd_pd(fold256(x[0]), fold256(x[1]));
  __m256d second = _mm256_hadd_pd(fold256(x[2]), fold256(x[3]));
  __m256d low = _mm256_permute2f128_pd(first, second, 0x20);
  __m256d sums = _mm256_add_pd(low, _mm256_permute2f128_pd(first, second, 0x31));
  _mm_storeu_ps(to, _mm256_cvtpd_ps(_mm256_add_pd(sums, _mm256_loadu_pd(bias))));
}
#elif defined(ENGRAM_SIMD_AVX2)
INLINE void d_store4(float *to, const doubles x[4], const double bias[4]) {
  __m256d first = _mm256_hadd_pd(x[0], x[1]);
  __m256d second = _mm256_hadd_pd(x[2], x[3]);
  __m256d low = _mm256_permute2f128_pd(first, second, 0x20);
  __m256d sums = _mm256_add_pd(low, _mm256_permute2f128_pd(first, second, 0x31));
  _mm_storeu_ps(to, _mm256_cvtpd_ps(_mm256_add_pd(sums, _mm256_loadu_pd(bias))));
}
#else /* NEON */
INLINE void d_store4(float *to, const doubles x[4], const double bias[4]) {
  for (int i = 0; i < 4; i++) {
    engram_store_float(to + i, (float)(d_sum(x[i]) + bias[i]));
  }
}
#endif

/*
 * The projection of fp8 weights where numbers are ordinary, as in every real model: inputs and
 * scales so far from the ends of float that nothing overflows or loses digits. Powers of two are
 * then exact wherever they are multiplied in: the inputs take the tile's scale, and what codes are
 * divided by.
 *
 * Weights have no NaN codes here; looking for them would take 1 cycle of 6.
 *
 * Lanes add ENGRAM_PROJECT_GROUP / LANES products in float and go on in double. A token's products
 * are added in the same order, however many tokens and rows go together.
 */
#define VECTORS (ENGRAM_BLOCK / LANES)

/* Rows at a time with 2 or 3 and with 4 tokens, whose sums would not find registers otherwise. */
#define FEWER_ROWS 4
#if defined(ENGRAM_SIMD_AVX2)
#define FEWEST_ROWS 2
#else
#define FEWEST_ROWS FEWER_ROWS
#endif

/* 2^-30 to 2^50, and scales of 2^-30 to 2^17: products stay above 2^-69, sums below 2^90. */
#define SMALLEST_INPUT 0x30800000u
#define LARGEST_INPUT 0x58800000u
#define SMALLEST_SCALE 97
#define LARGEST_SCALE 144

int TIER(ordinary_inputs)(const float *in, int64_t inputs) {
  uint32_t strange = 0;
  for (int64_t i = 0; i < inputs; i++) {
    uint32_t size = engram_float_to_bits(engram_load_float(in + i)) & 0x7fffffffu;
    strange |= size != 0 && size - SMALLEST_INPUT > LARGEST_INPUT - SMALLEST_INPUT;
  }
  return !strange;
}

int TIER(ordinary_scales)(const uint8_t *scales, int64_t tiles) {
  unsigned strange = 0;
  for (int64_t i = 0; i < tiles; i++) {
    strange |= (uint8_t)(scales[i] - SMALLEST_SCALE) > LARGEST_SCALE - SMALLEST_SCALE;
  }
  return !strange;
}

/* Codes of some rows of a tile, and the inputs that meet them. */
struct tile {
  const uint8_t *codes;
  int64_t stride;
  const float *in;
  int64_t inputs; /* of a token */
  floats scale;
};

/* The same place in the next rows: hardware prefetchers stop at every page. */
INLINE const uint8_t *row_of(const struct tile *tile, int row, const int rows) {
  const uint8_t *codes = tile->codes + row * tile->stride;
  __builtin_prefetch(codes + rows * tile->stride, 0, 2);
  return codes;
}

INLINE floats scaled(const struct tile *tile, int token, int i) {
  return f_mul(f_load(tile->in + token * tile->inputs + LANES * i), tile->scale);
}

#if defined(ENGRAM_SIMD_AVX2)
/*
 * All rows become halves before any is read again, as a core waits for a store that it reads at
 * once: 0.80 to 0.95 of the time for 1 to 4 tokens (Zen 3).
 */
INLINE void add_tile(const struct tile *tile, const int tokens, const int rows,
                     floats (*sum)[ENGRAM_PROJECT_TOKENS]) {
  uint16_t halves[ENGRAM_PROJECT_ROWS][ENGRAM_BLOCK] __attribute__((aligned(32)));
#pragma GCC unroll 8
  for (int row = 0; row < rows; row++) {
    f_e4m3_halves(row_of(tile, row, rows), halves[row]);
  }
  __asm__ volatile("" : "+m"(halves)); /* see simd.h */
#pragma GCC unroll 4
  for (int i = 0; i < VECTORS; i++) {
    floats x[ENGRAM_PROJECT_TOKENS];
#pragma GCC unroll 4
    for (int token = 0; token < tokens; token++) {
      x[token] = scaled(tile, token, i);
    }
#pragma GCC unroll 8
    for (int row = 0; row < rows; row++) {
      floats w = f_load_half(halves[row] + LANES * i);
#pragma GCC unroll 4
      for (int token = 0; token < tokens; token++) {
        sum[row][token] = f_fma(w, x[token], sum[row][token]);
      }
    }
  }
}
#else
INLINE void add_tile(const struct tile *tile, const int tokens, const int rows,
                     floats (*sum)[ENGRAM_PROJECT_TOKENS]) {
  floats x[ENGRAM_PROJECT_TOKENS][VECTORS];
  for (int token = 0; token < tokens; token++) {
    for (int i = 0; i < VECTORS; i++) {
      x[token][i] = scaled(tile, token, i);
    }
  }
  for (int row = 0; row < rows; row++) {
    floats w[VECTORS];
    f_e4m3_tile(row_of(tile, row, rows), w);
    for (int token = 0; token < tokens; token++) {
      for (int i = 0; i < VECTORS; i++) {
        sum[row][token] = f_fma(w[i], x[token][i], sum[row][token]);
      }
    }
  }
}
#endif

INLINE void block(const struct engram_linear *linear, const float *in, const int tokens,
                  const int rows, int output, float *out, int64_t out_stride) {
  const int64_t inputs = linear->inputs;
  const int64_t stride = linear->weight_stride;
  const uint8_t *weights = (const uint8_t *)linear->weight + output * stride;
  const uint8_t *scales = engram_scales_of(linear, output);
  doubles sums[ENGRAM_PROJECT_ROWS][ENGRAM_PROJECT_TOKENS];
  for (int row = 0; row < rows; row++) {
    for (int token = 0; token < tokens; token++) {
      sums[row][token] = d_zero();
    }
  }
  for (int64_t from = 0; from < inputs; from += ENGRAM_PROJECT_GROUP) {
    int64_t end = from + ENGRAM_PROJECT_GROUP < inputs ? from + ENGRAM_PROJECT_GROUP : inputs;
    floats sum[ENGRAM_PROJECT_ROWS][ENGRAM_PROJECT_TOKENS];
    for (int row = 0; row < rows; row++) {
      for (int token = 0; token < tokens; token++) {
        sum[row][token] = f_zero();
      }
    }
    for (int64_t k = from; k < end; k += ENGRAM_BLOCK) {
      floats scale =
          f_set(engram_bits_to_float((uint32_t)(*scales++ + ENGRAM_CODES_DIVIDED) << 23));
      const struct tile tile = {weights + k, stride, in + k, inputs, scale};
      add_tile(&tile, tokens, rows, sum);
    }
    for (int row = 0; row < rows; row++) {
      for (int token = 0; token < tokens; token++) {
        sums[row][token] = d_add(d_fold(sum[row][token]), sums[row][token]);
      }
    }
  }
  double bias[ENGRAM_PROJECT_ROWS];
  for (int row = 0; row < rows; row++) {
    bias[row] = linear->bias ? linear->bias[output + row] : 0;
  }
  for (int token = 0; token < tokens; token++) {
    float *to = out + token * out_stride;
    for (int row = 0; row + 4 <= rows; row += 4) {
      doubles four[4] = {sums[row][token], sums[row + 1][token], sums[row + 2][token],
                         sums[row + 3][token]};
      d_store4(to + row, four, bias + row);
    }
    for (int row = rows / 4 * 4; row < rows; row++) {
      engram_store_float(to + row, (float)(d_sum(sums[row][token]) + bias[row]));
    }
  }
}

/* Constant counts, so that sums get registers. */
void TIER(project_fp8)(const struct engram_linear *linear, const float *in, int tokens, int rows,
                       int output, float *out, int64_t out_stride) {
  if (rows == 1) {
    for (int token = 0; token < tokens; token++) {
      block(linear, in + (int64_t)token * linear->inputs, 1, 1, output, out + token * out_stride,
            out_stride);
    }
    return;
  }
  if (tokens == 1) {
    block(linear, in, 1, ENGRAM_PROJECT_ROWS, output, out, out_stride);
    return;
  }
  const int step = tokens == 4 ? FEWEST_ROWS : FEWER_ROWS;
  for (int row = 0; row < ENGRAM_PROJECT_ROWS; row += step) {
    if (tokens == 2) {
      block(linear, in, 2, FEWER_ROWS, output + row, out + row, out_stride);
    } else if (tokens == 3) {
      block(linear, in, 3, FEWER_ROWS, output + row, out + row, out_stride);
    } else {
      block(linear, in, 4, FEWEST_ROWS, output + row, out + row, out_stride);
    }
  }
}
