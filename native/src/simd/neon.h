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
INLINE floats f_add(floats x, floats y) {
  return BOTH(floats, vaddq_f32(x.a, y.a), vaddq_f32(x.b, y.b));
}
INLINE floats f_mul(floats x, floats y) {
  return BOTH(floats, vmulq_f32(x.a, y.a), vmulq_f32(x.b, y.b));
}
INLINE floats f_fma(floats x, floats y, floats z) {
  return BOTH(floats, vfmaq_f32(z.a, x.a, y.a), vfmaq_f32(z.b, x.b, y.b));
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

/* As in the AVX2 tier. */
INLINE floats f_e4m3_over_256(const void *codes) {
  int16x8_t high = vreinterpretq_s16_u16(vshll_n_u8(vld1_u8(codes), 8));
  uint16x8_t half = vreinterpretq_u16_s16(vshrq_n_s16(high, 1));
  return from_halves(vandq_u16(half, vdupq_n_u16(0xBF80)));
}
INLINE floats f_load_half(const void *from) {
  return from_halves(load_words(from));
}
INLINE void f_e4m3_tile(const void *codes, floats w[ENGRAM_BLOCK / LANES]) {
  for (int i = 0; i < ENGRAM_BLOCK / LANES; i++) {
    w[i] = f_e4m3_over_256((const uint8_t *)codes + LANES * i);
  }
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

INLINE doubles d_set(double x) {
  return BOTH(doubles, vdupq_n_f64(x), vdupq_n_f64(x));
}
INLINE doubles d_zero(void) {
  return d_set(0);
}
INLINE doubles d_add(doubles x, doubles y) {
  return BOTH(doubles, vaddq_f64(x.a, y.a), vaddq_f64(x.b, y.b));
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
