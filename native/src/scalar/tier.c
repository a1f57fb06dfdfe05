/* The scalar tier: the truth that the vector tiers are held to, and their fallback. */
#include "../kernels.h"

static void conv_taps(const struct engram_conv_weights *conv, const float *gated,
                      const float *window, int64_t channels, float *delta) {
  engram_scalar_conv_taps(conv, gated, window, 0, channels, delta);
}

const struct engram_kernels engram_scalar_kernels = {
    .hash = engram_scalar_hash,
    .gather = engram_scalar_gather,
    .project = engram_scalar_project,
    .nan_free = engram_scalar_nan_free,
    .gate_sums = engram_scalar_gate_sums,
    .gate_apply = engram_scalar_gate_apply,
    .conv_norm = engram_scalar_conv_norm,
    .conv_taps = conv_taps,
};
