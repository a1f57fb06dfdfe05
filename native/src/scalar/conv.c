#include "../kernels.h"

void engram_scalar_conv_norm(const float *gated, const float *norm, float eps, int64_t hidden,
                             float *out) {
  double squares = 0;
  for (int64_t i = 0; i < hidden; i++) {
    double x = engram_load_float(gated + i);
    squares += x * x;
  }
  double scale = 1 / __builtin_sqrt(squares / (double)hidden + eps);
  for (int64_t i = 0; i < hidden; i++) {
    engram_store_float(out + i, (float)(engram_load_float(gated + i) * scale * norm[i]));
  }
}

void engram_scalar_conv_taps(const struct engram_conv_weights *conv, const float *gated,
                             const float *window, int64_t first, int64_t channels, float *delta) {
  for (int64_t channel = first; channel < channels; channel++) {
    float sum = 0;
    for (int tap = 0; tap < conv->kernel; tap++) {
      int64_t row = (int64_t)tap * conv->dilation;
      sum += conv->taps[channel * conv->kernel + tap] *
             engram_load_float(window + row * channels + channel);
    }
    double silu = sum / (1 + engram_exp(-(double)sum));
    engram_store_float(delta + channel, engram_load_float(gated + channel) + (float)silu);
  }
}
