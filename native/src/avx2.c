/* The AVX2 tier. */
#include "tier_avx2.h"

const struct engram_kernels engram_avx2 = {
    .hash = engram_avx2_hash,
    .gather = engram_avx2_gather,
    .project = engram_avx2_project,
    .gate_sums = engram_avx2_gate_sums,
    .gate_apply = engram_avx2_gate_apply,
    .conv_norm = engram_avx2_conv_norm,
    .conv_taps = engram_avx2_conv_taps,
};
