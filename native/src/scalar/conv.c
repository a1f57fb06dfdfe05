#include "../gate_formula.h"
#include "../kernels.h"

static void conv_norm(const float *gated, const float *norm, float eps, int64_t hidden,
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

void engram_scalar_conv_taps(const struct engram_conv_weights *conv, float *gated, const float *row,
                             int64_t from, int64_t to, uint8_t *stream, int type) {
  int64_t channels = (int64_t)conv->branches * conv->hidden;
  for (int64_t channel = from; channel < to; channel++) {
    float sum = 0;
    for (int tap = 0; tap < conv->kernel; tap++) {
      int64_t back = (int64_t)(conv->kernel - 1 - tap) * conv->dilation;
      sum += conv->taps[channel * conv->kernel + tap] *
             engram_load_float(row + channel - back * channels);
    }
    float delta = engram_load_float(gated + channel) + engram_silu(sum);
    engram_store_float(gated + channel, delta);
    int64_t i = channel - from;
    engram_stream_store(stream, type, i, engram_stream_load(stream, type, i) + delta);
  }
}

#define CONV_NORM conv_norm
#define CONV_TAPS engram_scalar_conv_taps
#include "../stages/conv.h"

void engram_scalar_conv(const struct engram_conv_weights *conv, float *gated, float *window,
                        const signed char *mask, int64_t tokens, uint8_t *stream, int type,
                        int64_t token_stride, int64_t branch_stride) {
  conv_tokens(conv, gated, window, mask, tokens, stream, type, token_stride, branch_stride);
}
