#include "simd.h"

/*
 * Words of this stage alone:
 *   f_sub f_div f_min f_max
 *   f_fnma(a, b, c) = c - a * b
 *   f_power(n)      2^n of whole numbers in [-126, 127]
 *   f_taps4         weights [LANES, 4] transposed into 4 vectors
 */
#if defined(ENGRAM_SIMD_AVX512)
INLINE floats f_sub(floats a, floats b) {
  return _mm512_sub_ps(a, b);
}
INLINE floats f_div(floats a, floats b) {
  return _mm512_div_ps(a, b);
}
INLINE floats f_min(floats a, floats b) {
  return _mm512_min_ps(a, b);
}
INLINE floats f_max(floats a, floats b) {
  return _mm512_max_ps(a, b);
}
INLINE floats f_fnma(floats a, floats b, floats c) {
  return _mm512_fnmadd_ps(a, b, c);
}
INLINE floats f_power(floats n) {
  __m512i biased = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
  return _mm512_castsi512_ps(_mm512_slli_epi32(biased, 23));
}
INLINE void f_taps4(const float *taps, floats w[4]) {
  const __m512i even = _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 1, 5, 9, 13, 17, 21, 25, 29);
  const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(2));
  __m512 a = _mm512_loadu_ps(taps);
  __m512 b = _mm512_loadu_ps(taps + 16);
  __m512 c = _mm512_loadu_ps(taps + 32);
  __m512 d = _mm512_loadu_ps(taps + 48);
  __m512 low01 = _mm512_permutex2var_ps(a, even, b); /* taps 0 and 1 of 8 channels */
  __m512 high01 = _mm512_permutex2var_ps(c, even, d);
  __m512 low23 = _mm512_permutex2var_ps(a, odd, b);
  __m512 high23 = _mm512_permutex2var_ps(c, odd, d);
  w[0] = _mm512_shuffle_f32x4(low01, high01, _MM_SHUFFLE(1, 0, 1, 0));
  w[1] = _mm512_shuffle_f32x4(low01, high01, _MM_SHUFFLE(3, 2, 3, 2));
  w[2] = _mm512_shuffle_f32x4(low23, high23, _MM_SHUFFLE(1, 0, 1, 0));
  w[3] = _mm512_shuffle_f32x4(low23, high23, _MM_SHUFFLE(3, 2, 3, 2));
}
#elif defined(ENGRAM_SIMD_AVX2)
INLINE floats f_sub(floats a, floats b) {
  return _mm256_sub_ps(a, b);
}
INLINE floats f_div(floats a, floats b) {
  return _mm256_div_ps(a, b);
}
INLINE floats f_min(floats a, floats b) {
  return _mm256_min_ps(a, b);
}
INLINE floats f_max(floats a, floats b) {
  return _mm256_max_ps(a, b);
}
INLINE floats f_fnma(floats a, floats b, floats c) {
  return _mm256_fnmadd_ps(a, b, c);
}
INLINE floats f_power(floats n) {
  __m256i biased = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
  return _mm256_castsi256_ps(_mm256_slli_epi32(biased, 23));
}
INLINE __m256 taps_pair(const float *taps) {
  __m256 low = _mm256_castps128_ps256(_mm_loadu_ps(taps));
  return _mm256_insertf128_ps(low, _mm_loadu_ps(taps + 16), 1);
}
INLINE void f_taps4(const float *taps, floats w[4]) {
  __m256 a = taps_pair(taps);
  __m256 b = taps_pair(taps + 4);
  __m256 c = taps_pair(taps + 8);
  __m256 d = taps_pair(taps + 12);
  __m256 ab_low = _mm256_unpacklo_ps(a, b);
  __m256 ab_high = _mm256_unpackhi_ps(a, b);
  __m256 cd_low = _mm256_unpacklo_ps(c, d);
  __m256 cd_high = _mm256_unpackhi_ps(c, d);
  w[0] = _mm256_shuffle_ps(ab_low, cd_low, _MM_SHUFFLE(1, 0, 1, 0));
  w[1] = _mm256_shuffle_ps(ab_low, cd_low, _MM_SHUFFLE(3, 2, 3, 2));
  w[2] = _mm256_shuffle_ps(ab_high, cd_high, _MM_SHUFFLE(1, 0, 1, 0));
  w[3] = _mm256_shuffle_ps(ab_high, cd_high, _MM_SHUFFLE(3, 2, 3, 2));
}
#else /* NEON */
INLINE floats f_sub(floats x, floats y) {
  return BOTH(floats, vsubq_f32(x.a, y.a), vsubq_f32(x.b, y.b));
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
INLINE void f_taps4(const float *taps, floats w[4]) {
  float32x4x4_t first = vld4q_f32(taps);
  float32x4x4_t second = vld4q_f32(taps + 16);
  for (int tap = 0; tap < 4; tap++) {
    w[tap] = BOTH(floats, first.val[tap], second.val[tap]);
  }
}
#endif

static void conv_norm(const float *gated, const float *norm, float eps, int64_t hidden,
                      float *out) {
  doubles squares[2] = {d_zero(), d_zero()};
  int64_t i = 0;
  for (; i + LANES <= hidden; i += LANES) {
    floats x = f_load(gated + i);
    doubles low = d_low(x);
    doubles high = d_high(x);
    squares[0] = d_fma(low, low, squares[0]);
    squares[1] = d_fma(high, high, squares[1]);
  }
  double sum = d_sum(d_add(squares[0], squares[1]));
  for (; i < hidden; i++) {
    double x = engram_load_float(gated + i);
    sum += x * x;
  }
  float scale = (float)(1 / __builtin_sqrt(sum / (double)hidden + eps));
  for (i = 0; i + LANES <= hidden; i += LANES) {
    f_store(out + i, f_mul(f_mul(f_load(gated + i), f_set(scale)), f_load(norm + i)));
  }
  for (; i < hidden; i++) {
    engram_store_float(out + i, engram_load_float(gated + i) * scale * norm[i]);
  }
}

/* e^x for x in [-87, 87], to a few units of 1e-7 relative. */
INLINE floats exponential(floats x) {
  const floats magic = f_set(0x1.8p23f);
  x = f_min(f_max(x, f_set(-87)), f_set(87));
  floats shifted = f_fma(x, f_set(0x1.715476p0f), magic);
  floats n = f_sub(shifted, magic);
  floats r = f_fnma(n, f_set(0x1.62e4p-1f), x);
  r = f_fnma(n, f_set(0x1.7f7d1cp-20f), r);
  floats sum = f_set(1.0f / 5040);
  static const float terms[] = {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1, 1};
  for (int i = 0; i < 7; i++) {
    sum = f_fma(sum, r, f_set(terms[i]));
  }
  return f_mul(sum, f_power(n));
}

INLINE floats load(const uint8_t *stream, const int type, int64_t i) {
  return type == ENGRAM_F32 ? f_load(stream + 4 * i) : f_load_bf16(stream + 2 * i);
}

INLINE void store(uint8_t *stream, const int type, int64_t i, floats x) {
  if (type == ENGRAM_F32) {
    f_store(stream + 4 * i, x);
  } else {
    f_store_bf16(stream + 2 * i, x);
  }
}

/* Whole vectors of channels from `from` on; returns where they end. */
INLINE int64_t taps(const struct engram_conv_weights *conv, float *gated, const float *row,
                    int64_t from, int64_t to, uint8_t *stream, const int type) {
  const int64_t step = conv->dilation * (int64_t)conv->branches * conv->hidden;
  const float *oldest = row - 3 * step;
  int64_t channel = from;
  for (; channel + LANES <= to; channel += LANES) {
    floats w[4];
    f_taps4(conv->taps + 4 * channel, w);
    floats sum = f_zero();
    for (int tap = 0; tap < 4; tap++) {
      sum = f_fma(w[tap], f_load(oldest + tap * step + channel), sum);
    }
    floats silu = f_div(sum, f_add(f_set(1), exponential(f_sub(f_zero(), sum))));
    floats delta = f_add(f_load(gated + channel), silu);
    f_store(gated + channel, delta);
    store(stream, type, channel - from, f_add(load(stream, type, channel - from), delta));
  }
  return channel;
}

/* Taps lie [channel, tap]; 4 of them in all published models. */
static void conv_taps(const struct engram_conv_weights *conv, float *gated, const float *row,
                      int64_t from, int64_t to, uint8_t *stream, int type) {
  int64_t done = from;
  if (conv->kernel == 4 && type == ENGRAM_F32) {
    done = taps(conv, gated, row, from, to, stream, ENGRAM_F32);
  } else if (conv->kernel == 4) {
    done = taps(conv, gated, row, from, to, stream, ENGRAM_BF16);
  }
  engram_scalar_conv_taps(conv, gated, row, done, to,
                          stream + (done - from) * engram_out_bytes(type), type);
}

#define CONV_NORM conv_norm
#define CONV_TAPS conv_taps
#include "../stages/conv.h"

void TIER(conv)(const struct engram_conv_weights *conv, float *gated, float *window,
                const signed char *mask, int64_t tokens, uint8_t *stream, int type,
                int64_t token_stride, int64_t branch_stride) {
  conv_tokens(conv, gated, window, mask, tokens, stream, type, token_stride, branch_stride);
}
