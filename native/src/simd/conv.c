#include "simd.h"

void TIER(conv_norm)(const float *gated, const float *norm, float eps, int64_t hidden, float *out) {
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

/* Taps lie [channel, tap]; 4 of them in all published models. */
void TIER(conv_taps)(const struct engram_conv_weights *conv, const float *gated,
                     const float *window, int64_t channels, float *delta) {
  if (conv->kernel != 4) {
    engram_scalar_conv_taps(conv, gated, window, 0, channels, delta);
    return;
  }
  int64_t step = conv->dilation * channels;
  int64_t channel = 0;
  for (; channel + LANES <= channels; channel += LANES) {
    floats w[4];
    f_taps4(conv->taps + 4 * channel, w);
    floats sum = f_zero();
    for (int tap = 0; tap < 4; tap++) {
      sum = f_fma(w[tap], f_load(window + tap * step + channel), sum);
    }
    floats silu = f_div(sum, f_add(f_set(1), exponential(f_sub(f_zero(), sum))));
    f_store(delta + channel, f_add(f_load(gated + channel), silu));
  }
  engram_scalar_conv_taps(conv, gated, window, channel, channels, delta);
}
