/* NEON, which every AArch64 has: 8 floats in two registers, two halves of 4 doubles in two. */
#if !defined(__aarch64__) || !defined(__ARM_NEON)
#error "this tier is built for AArch64"
#endif
#include <arm_neon.h>

#define TIER(name) engram_neon_##name
#define LANES 8

typedef struct {
  float32x4_t a, b;
} floats;
typedef struct {
  float64x2_t a, b;
} doubles;

#define BOTH(type, expression_a, expression_b) ((type){(expression_a), (expression_b)})

INLINE floats f_set(float x) {
  return BOTH(floats, vdupq_n_f32(x), vdupq_n_f32(x));
}
INLINE floats f_zero(void) {
  return f_set(0);
}
/* loads of bytes: floats may lie at any address */
INLINE floats f_load(const void *from) {
  const uint8_t *data = from;
  return BOTH(floats, vreinterpretq_f32_u8(vld1q_u8(data)),
              vreinterpretq_f32_u8(vld1q_u8(data + 16)));
}
INLINE void f_store(void *to, floats x) {
  uint8_t *data = to;
  vst1q_u8(data, vreinterpretq_u8_f32(x.a));
  vst1q_u8(data + 16, vreinterpretq_u8_f32(x.b));
}
INLINE void f_stream(void *to, floats x) {
  f_store(to, x); /* stores past the caches are a hint only, and not worth one here */
}
INLINE void f_stream_end(void) {
}
INLINE floats f_add(floats x, floats y) {
  return BOTH(floats, vaddq_f32(x.a, y.a), vaddq_f32(x.b, y.b));
}
INLINE floats f_sub(floats x, floats y) {
  return BOTH(floats, vsubq_f32(x.a, y.a), vsubq_f32(x.b, y.b));
}
INLINE floats f_mul(floats x, floats y) {
  return BOTH(floats, vmulq_f32(x.a, y.a), vmulq_f32(x.b, y.b));
}
INLINE floats f_div(floats x, floats y) {
  return BOTH(floats, vdivq_f32(x.a, y.a), vdivq_f32(x.b, y.b));
}
INLINE floats f_min(floats x, floats y) {
  return BOTH(floats, vminq_f32(x.a, y.a), vminq_f32(x.b, y.b));
}
INLINE floats f_max(floats x, floats y) {
  return BOTH(floats, vmaxq_f32(x.a, y.a), vmaxq_f32(x.b, y.b));
}
INLINE float32x4_t or4(float32x4_t x, float32x4_t y) {
  return vreinterpretq_f32_u32(vorrq_u32(vreinterpretq_u32_f32(x), vreinterpretq_u32_f32(y)));
}
INLINE floats f_or(floats x, floats y) {
  return BOTH(floats, or4(x.a, y.a), or4(x.b, y.b));
}
INLINE floats f_fma(floats x, floats y, floats z) {
  return BOTH(floats, vfmaq_f32(z.a, x.a, y.a), vfmaq_f32(z.b, x.b, y.b));
}
INLINE floats f_fnma(floats x, floats y, floats z) {
  return BOTH(floats, vfmsq_f32(z.a, x.a, y.a), vfmsq_f32(z.b, x.b, y.b));
}
INLINE float32x4_t power4(float32x4_t n) {
  int32x4_t biased = vaddq_s32(vcvtnq_s32_f32(n), vdupq_n_s32(127));
  return vreinterpretq_f32_s32(vshlq_n_s32(biased, 23));
}
INLINE floats f_power(floats n) {
  return BOTH(floats, power4(n.a), power4(n.b));
}

INLINE uint16x8_t load_words(const void *from) {
  return vreinterpretq_u16_u8(vld1q_u8(from));
}
INLINE floats f_load_bf16(const void *from) {
  uint16x8_t words = load_words(from);
  return BOTH(floats, vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(words), 16)),
              vreinterpretq_f32_u32(vshll_high_n_u16(words, 16)));
}
INLINE floats from_halves(uint16x8_t words) {
  float16x8_t halves = vreinterpretq_f16_u16(words);
  return BOTH(floats, vcvt_f32_f16(vget_low_f16(halves)), vcvt_high_f32_f16(halves));
}
INLINE floats f_load_half(const void *from) {
  return from_halves(load_words(from));
}
INLINE uint16x4_t bf16_of(float32x4_t x) {
  uint32x4_t bits = vreinterpretq_u32_f32(x);
  uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
  uint32x4_t rounded = vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7fff)));
  uint32x4_t quiet = vorrq_u32(bits, vdupq_n_u32(0x400000));
  uint32x4_t ordered = vceqq_f32(x, x);
  return vshrn_n_u32(vbslq_u32(ordered, rounded, quiet), 16);
}
INLINE void f_store_bf16(void *to, floats x) {
  vst1q_u8(to, vreinterpretq_u8_u16(vcombine_u16(bf16_of(x.a), bf16_of(x.b))));
}
INLINE void f_store2_bf16(void *to, floats x, floats y) {
  f_store_bf16(to, x);
  f_store_bf16((uint8_t *)to + 2 * LANES, y);
}

/* As in the AVX2 tier. */
INLINE floats f_e4m3_over_256(const void *codes) {
  int16x8_t high = vreinterpretq_s16_u16(vshll_n_u8(vld1_u8(codes), 8));
  uint16x8_t half = vreinterpretq_u16_s16(vshrq_n_s16(high, 1));
  return from_halves(vandq_u16(half, vdupq_n_u16(0xBF80)));
}
#define CODE_MISSING 8
INLINE void f_e4m3_block(const void *codes, floats w[ENGRAM_BLOCK / LANES]) {
  for (int i = 0; i < ENGRAM_BLOCK / LANES; i++) {
    w[i] = f_e4m3_over_256((const uint8_t *)codes + LANES * i);
  }
}
INLINE void f_e4m3_ordered(const void *codes, floats w[ENGRAM_BLOCK / LANES]) {
  f_e4m3_block(codes, w);
}
INLINE floats f_load_part(const float *block, int i) {
  return f_load(block + LANES * i);
}
typedef uint8x16_t marks;
INLINE marks n_zero(void) {
  return vdupq_n_u8(0);
}
INLINE marks n_or_nan(marks seen, const void *codes) {
  const uint8x16_t nan = vdupq_n_u8(0x7f);
  const uint8_t *data = codes;
  uint8x16_t first = vandq_u8(vld1q_u8(data), nan);
  uint8x16_t second = vandq_u8(vld1q_u8(data + 16), nan);
  return vmaxq_u8(seen, vmaxq_u8(first, second));
}
INLINE int n_any(marks seen) {
  return vmaxvq_u8(seen) == 0x7f;
}

INLINE void f_taps4(const float *taps, floats w[4]) {
  float32x4x4_t first = vld4q_f32(taps);
  float32x4x4_t second = vld4q_f32(taps + 16);
  for (int tap = 0; tap < 4; tap++) {
    w[tap] = BOTH(floats, first.val[tap], second.val[tap]);
  }
}

INLINE doubles d_set(double x) {
  return BOTH(doubles, vdupq_n_f64(x), vdupq_n_f64(x));
}
INLINE doubles d_zero(void) {
  return d_set(0);
}
INLINE doubles d_add(doubles x, doubles y) {
  return BOTH(doubles, vaddq_f64(x.a, y.a), vaddq_f64(x.b, y.b));
}
INLINE doubles d_mul(doubles x, doubles y) {
  return BOTH(doubles, vmulq_f64(x.a, y.a), vmulq_f64(x.b, y.b));
}
INLINE doubles d_fma(doubles x, doubles y, doubles z) {
  return BOTH(doubles, vfmaq_f64(z.a, x.a, y.a), vfmaq_f64(z.b, x.b, y.b));
}
INLINE doubles d_low(floats x) {
  return BOTH(doubles, vcvt_f64_f32(vget_low_f32(x.a)), vcvt_high_f64_f32(x.a));
}
INLINE doubles d_high(floats x) {
  return BOTH(doubles, vcvt_f64_f32(vget_low_f32(x.b)), vcvt_high_f64_f32(x.b));
}
INLINE doubles d_fold(floats x) {
  float32x4_t sum = vaddq_f32(x.a, x.b);
  return BOTH(doubles, vcvt_f64_f32(vget_low_f32(sum)), vcvt_high_f64_f32(sum));
}
INLINE double d_sum(doubles x) {
  return vaddvq_f64(vaddq_f64(x.a, x.b));
}
INLINE void d_store4(float *to, const doubles x[4], const double bias[4]) {
  for (int i = 0; i < 4; i++) {
    engram_store_float(to + i, (float)(d_sum(x[i]) + bias[i]));
  }
}

/* Two columns. */
INLINE int64x2_t h_two(int64_t roll, const double *inverse, const long long *prime,
                       const long long *offset) {
  int64x2_t p = vld1q_s64((const int64_t *)prime);
  float64x2_t x = vdupq_n_f64((double)roll);
  float64x2_t sum = vfmaq_f64(vdupq_n_f64(0x1.8p52), x, vld1q_f64(inverse));
  uint32x2_t n = vmovn_u64(vreinterpretq_u64_f64(sum));
  uint32x2_t small = vmovn_u64(vreinterpretq_u64_s64(p));
  uint32x2_t r = vmls_u32(vdup_n_u32((uint32_t)(uint64_t)roll), n, small);
  int64x2_t wide = vmovl_s32(vreinterpret_s32_u32(r));
  wide = vaddq_s64(wide, vandq_s64(vshrq_n_s64(wide, 63), p));
  return vaddq_s64(wide, vld1q_s64((const int64_t *)offset));
}
INLINE void h_rows(int64_t roll, const double *inverse, const long long *prime,
                   const long long *offset, int64_t *out) {
  for (int i = 0; i < 4; i += 2) {
    int64x2_t rows = h_two(roll, inverse + i, prime + i, offset + i);
    vst1q_u8((uint8_t *)(out + i), vreinterpretq_u8_s64(rows));
  }
}
