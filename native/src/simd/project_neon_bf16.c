#if !defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC)
#error "this tier is NEON with BF16"
#endif
#include "project_fp8.h"

/*
 * The projection of fp8 weights where a row's numbers are bf16 numbers, as those of fp8 tables are:
 * then one instruction adds two products a lane. Products are exact; sums of them round to odd,
 * which is twice as coarse as to nearest, so a part's lanes are added in double. Inputs take a
 * tile's scale before: a power of two, so this is exact.
 *
 * The instruction takes subnormal numbers for zeros. There are none: inputs and scales are
 * ordinary, and so are products, as project_fp8.c says.
 *
 * A token's products are added in the same order however many go together.
 */

#define STEP ENGRAM_BLOCK
#define EIGHTS (STEP / 8)
#define PART 256
#define TOKENS 8
#define CACHED_TOKENS 16

/* The upper and the lower bytes of the first 16 codes as bf16: eight of them are subnormal. */
struct codes {
  uint8x16_t upper;
  uint8x16_t lower;
};

static struct codes codes_as_bf16(void) {
  uint8_t upper[16];
  uint8_t lower[16];
  for (int size = 0; size < 16; size++) {
    uint32_t bits = engram_float_to_bits(engram_e4m3((uint8_t)size)) >> 16;
    upper[size] = (uint8_t)(bits >> 8);
    lower[size] = (uint8_t)bits;
  }
  return (struct codes){vld1q_u8(upper), vld1q_u8(lower)};
}

/* Other codes are bf16 as they are, shifted, with another exponent: 2^120 more. */
INLINE void look_up(const struct codes *codes, const uint8_t *from, bfloat16x8_t w[2]) {
  uint8x16_t code = vld1q_u8(from);
  uint8x16_t size = vandq_u8(code, vdupq_n_u8(0x7f));
  uint8x16_t upper = vaddq_u8(vshrq_n_u8(size, 4), vdupq_n_u8(0x3c));
  uint8x16_t lower = vshlq_n_u8(size, 4);
  upper = vqtbx1q_u8(upper, codes->upper, size);
  lower = vqtbx1q_u8(lower, codes->lower, size);
  upper = vorrq_u8(upper, vandq_u8(code, vdupq_n_u8(0x80)));
  w[0] = vreinterpretq_bf16_u8(vzip1q_u8(lower, upper));
  w[1] = vreinterpretq_bf16_u8(vzip2q_u8(lower, upper));
}

/* Whether inputs are ordinary and lose nothing as bf16. */
static int are_bf16(const float *in, int64_t inputs) {
  uint8x16_t low = vdupq_n_u8(0);
  for (int64_t i = 0; i < inputs; i += 4) {
    low = vorrq_u8(low, vld1q_u8((const uint8_t *)(in + i)));
  }
  uint32x4_t dropped = vandq_u32(vreinterpretq_u32_u8(low), vdupq_n_u32(0xffff));
  return vmaxvq_u32(dropped) == 0 && TIER(ordinary_inputs)(in, inputs);
}

/* Inputs times their tiles' scales, as bf16. */
static void scale_inputs(const float *in, const uint8_t *scales, int64_t inputs, uint16_t *to) {
  for (int64_t k = 0; k < inputs; k += LANES) {
    floats scale = f_set(engram_bits_to_float((uint32_t)scales[k / ENGRAM_BLOCK] << 23));
    floats x = f_mul(f_load(in + k), scale);
    vst1q_u16(to + k, vuzp2q_u16(vreinterpretq_u16_f32(x.a), vreinterpretq_u16_f32(x.b)));
  }
}

/* Adds what some rows and tokens have in one part. */
INLINE void part(const struct codes *codes, const uint8_t *weights, int64_t stride,
                 const uint16_t *x, int64_t inputs, const int rows, const int tokens,
                 float64x2_t *sums) {
  float32x4_t sum[16];
  for (int i = 0; i < rows * tokens; i++) {
    sum[i] = vdupq_n_f32(0);
  }
  for (int64_t k = 0; k < inputs; k += STEP) {
    for (int row = 0; row < rows; row++) {
      const uint8_t *from = weights + row * stride + k;
      __builtin_prefetch(from + inputs, 0, 2);
      bfloat16x8_t w[EIGHTS];
      look_up(codes, from, w);
      look_up(codes, from + 16, w + 2);
      for (int token = 0; token < tokens; token++) {
        for (int i = 0; i < EIGHTS; i++) {
          uint16x8_t own = vld1q_u16(x + token * PART + k + 8 * i);
          float32x4_t *to = &sum[row * tokens + token];
          *to = vbfdotq_f32(*to, w[i], vreinterpretq_bf16_u16(own));
        }
      }
    }
  }
  for (int row = 0; row < rows; row++) {
    for (int token = 0; token < tokens; token++) {
      float32x4_t own = sum[row * tokens + token];
      float64x2_t both = vaddq_f64(vcvt_f64_f32(vget_low_f32(own)), vcvt_high_f64_f32(own));
      sums[row * TOKENS + token] = vaddq_f64(sums[row * TOKENS + token], both);
    }
  }
}

/* A part of some tokens for `count` rows; constant counts, so that sums get registers. */
INLINE void parts_of(const struct codes *codes, const uint8_t *weights, int64_t stride,
                     const uint16_t *x, int64_t inputs, int count, const int rows, const int tokens,
                     float64x2_t *sums) {
  int row = 0;
  for (; row + rows <= count; row += rows) {
    part(codes, weights + row * stride, stride, x, inputs, rows, tokens, sums + row * TOKENS);
  }
  for (; row < count; row++) {
    part(codes, weights + row * stride, stride, x, inputs, 1, tokens, sums + row * TOKENS);
  }
}

static void parts(const struct codes *codes, const uint8_t *weights, int64_t stride,
                  const uint16_t *x, int64_t inputs, int count, int tokens, float64x2_t *sums) {
  switch (tokens) {
    case 1:
      parts_of(codes, weights, stride, x, inputs, count, 8, 1, sums);
      break;
    case 2:
      parts_of(codes, weights, stride, x, inputs, count, 4, 2, sums);
      break;
    case 3:
      parts_of(codes, weights, stride, x, inputs, count, 4, 3, sums);
      break;
    case 4:
      parts_of(codes, weights, stride, x, inputs, count, 4, 4, sums);
      break;
    case 5:
      parts_of(codes, weights, stride, x, inputs, count, 2, 5, sums);
      break;
    case 6:
      parts_of(codes, weights, stride, x, inputs, count, 2, 6, sums);
      break;
    case 7:
      parts_of(codes, weights, stride, x, inputs, count, 2, 7, sums);
      break;
    default:
      parts_of(codes, weights, stride, x, inputs, count, 2, TOKENS, sums);
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
  float64x2_t sums[ENGRAM_BLOCK * TOKENS];
  for (int i = 0; i < count * TOKENS; i++) {
    sums[i] = vdupq_n_f64(0);
  }
  for (int64_t from = 0; from < inputs; from += PART) {
    int64_t some = inputs - from < PART ? inputs - from : PART;
    for (int token = 0; token < tokens; token++) {
      const float *own = in + (int64_t)token * inputs + from;
      scale_inputs(own, scales + from / ENGRAM_BLOCK, some, x + token * PART);
    }
    parts(codes, weights + from, stride, x, some, count, tokens, sums);
  }
  for (int row = 0; row < count; row++) {
    double bias = linear->bias ? linear->bias[output + row] : 0;
    for (int token = 0; token < tokens; token++) {
      float sum = (float)(vaddvq_f64(sums[row * TOKENS + token]) + bias);
      engram_store_float(out + token * out_stride + row, sum);
    }
  }
}

#include "project_short.h"

const struct engram_kernels engram_neon_bf16_kernels = {
    .below = &engram_neon_kernels,
    .project = TIER(bf16_project),
};
