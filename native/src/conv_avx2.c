#include "tier_avx2.h"

void engram_avx2_conv_norm(const float *gated, const float *norm, float eps, int64_t hidden,
                           float *out) {
  __m256d squares[2] = {_mm256_setzero_pd(), _mm256_setzero_pd()};
  int64_t i = 0;
  for (; i + 8 <= hidden; i += 8) {
    __m256 x = _mm256_loadu_ps(gated + i);
    __m256d x0 = _mm256_cvtps_pd(_mm256_castps256_ps128(x));
    __m256d x1 = _mm256_cvtps_pd(_mm256_extractf128_ps(x, 1));
    squares[0] = _mm256_fmadd_pd(x0, x0, squares[0]);
    squares[1] = _mm256_fmadd_pd(x1, x1, squares[1]);
  }
  double lanes[4];
  _mm256_storeu_pd(lanes, _mm256_add_pd(squares[0], squares[1]));
  double sum = lanes[0] + lanes[1] + (lanes[2] + lanes[3]);
  for (; i < hidden; i++) {
    double x = engram_load_float(gated + i);
    sum += x * x;
  }
  float scale = (float)(1 / __builtin_sqrt(sum / (double)hidden + eps));
  __m256 wide = _mm256_set1_ps(scale);
  for (i = 0; i + 8 <= hidden; i += 8) {
    __m256 x = _mm256_mul_ps(_mm256_loadu_ps(gated + i), wide);
    _mm256_storeu_ps(out + i, _mm256_mul_ps(x, _mm256_loadu_ps(norm + i)));
  }
  for (; i < hidden; i++) {
    engram_store_float(out + i, engram_load_float(gated + i) * scale * norm[i]);
  }
}

/* e^x for x in [-87, 87], to a few units of 1e-7 relative. */
static inline __m256 exponential(__m256 x) {
  const __m256 magic = _mm256_set1_ps(0x1.8p23f);
  x = _mm256_min_ps(_mm256_max_ps(x, _mm256_set1_ps(-87)), _mm256_set1_ps(87));
  __m256 shifted = _mm256_fmadd_ps(x, _mm256_set1_ps(0x1.715476p0f), magic);
  __m256 n = _mm256_sub_ps(shifted, magic);
  __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0x1.62e4p-1f), x);
  r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0x1.7f7d1cp-20f), r);
  __m256 sum = _mm256_set1_ps(1.0f / 5040);
  sum = _mm256_fmadd_ps(sum, r, _mm256_set1_ps(1.0f / 720));
  sum = _mm256_fmadd_ps(sum, r, _mm256_set1_ps(1.0f / 120));
  sum = _mm256_fmadd_ps(sum, r, _mm256_set1_ps(1.0f / 24));
  sum = _mm256_fmadd_ps(sum, r, _mm256_set1_ps(1.0f / 6));
  sum = _mm256_fmadd_ps(sum, r, _mm256_set1_ps(0.5f));
  sum = _mm256_fmadd_ps(sum, r, _mm256_set1_ps(1));
  sum = _mm256_fmadd_ps(sum, r, _mm256_set1_ps(1));
  __m256i power =
      _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
  return _mm256_mul_ps(sum, _mm256_castsi256_ps(power));
}

/* Taps lie [channel, tap]; for 4 taps, all published models, 8 channels are 4 transposed loads. */
static inline void four_taps(const float *taps, __m256 w[4]) {
  __m256 a =
      _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(taps)), _mm_loadu_ps(taps + 16), 1);
  __m256 b = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(taps + 4)),
                                  _mm_loadu_ps(taps + 20), 1);
  __m256 c = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(taps + 8)),
                                  _mm_loadu_ps(taps + 24), 1);
  __m256 d = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(taps + 12)),
                                  _mm_loadu_ps(taps + 28), 1);
  __m256 ab_low = _mm256_unpacklo_ps(a, b);
  __m256 ab_high = _mm256_unpackhi_ps(a, b);
  __m256 cd_low = _mm256_unpacklo_ps(c, d);
  __m256 cd_high = _mm256_unpackhi_ps(c, d);
  w[0] = _mm256_shuffle_ps(ab_low, cd_low, _MM_SHUFFLE(1, 0, 1, 0));
  w[1] = _mm256_shuffle_ps(ab_low, cd_low, _MM_SHUFFLE(3, 2, 3, 2));
  w[2] = _mm256_shuffle_ps(ab_high, cd_high, _MM_SHUFFLE(1, 0, 1, 0));
  w[3] = _mm256_shuffle_ps(ab_high, cd_high, _MM_SHUFFLE(3, 2, 3, 2));
}

void engram_avx2_conv_taps(const struct engram_conv_weights *conv, const float *gated,
                           const float *window, int64_t channels, float *delta) {
  if (conv->kernel != 4) {
    engram_scalar_conv_taps(conv, gated, window, channels, delta);
    return;
  }
  int64_t step = conv->dilation * channels;
  int64_t channel = 0;
  for (; channel + 8 <= channels; channel += 8) {
    __m256 w[4];
    four_taps(conv->taps + 4 * channel, w);
    __m256 sum = _mm256_setzero_ps();
    for (int tap = 0; tap < 4; tap++) {
      sum = _mm256_fmadd_ps(w[tap], _mm256_loadu_ps(window + tap * step + channel), sum);
    }
    __m256 one = _mm256_set1_ps(1);
    __m256 e = exponential(_mm256_sub_ps(_mm256_setzero_ps(), sum));
    __m256 silu = _mm256_div_ps(sum, _mm256_add_ps(one, e));
    _mm256_storeu_ps(delta + channel, _mm256_add_ps(_mm256_loadu_ps(gated + channel), silu));
  }
  for (; channel < channels; channel++) { /* as the scalar kernel, from this channel on */
    float sum = 0;
    for (int tap = 0; tap < 4; tap++) {
      sum += conv->taps[4 * channel + tap] * engram_load_float(window + tap * step + channel);
    }
    double silu = sum / (1 + engram_exp(-(double)sum));
    engram_store_float(delta + channel, engram_load_float(gated + channel) + (float)silu);
  }
}
