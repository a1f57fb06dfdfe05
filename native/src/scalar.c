/* The scalar tier: the truth that the vector tiers are held to, and their fallback. */
#include "kernels.h"

const struct engram_kernels engram_scalar = {
    .hash = engram_scalar_hash,
    .gather = engram_scalar_gather,
    .project = engram_scalar_project,
    .gate_sums = engram_scalar_gate_sums,
    .gate_apply = engram_scalar_gate_apply,
    .conv_norm = engram_scalar_conv_norm,
    .conv_taps = engram_scalar_conv_taps,
};
