/*
 * The projection of a tier whose way for inputs that are bf16 numbers is another: which tokens go
 * that way, and which rows of scales let them. The file that includes this has STEP, TOKENS,
 * CACHED_TOKENS, struct codes, codes_as_bf16, are_bf16 and outputs_of.
 */
#ifndef ENGRAM_PROJECT_SHORT_H
#define ENGRAM_PROJECT_SHORT_H

#include "project_fp8.h"

static void short_inputs(const struct engram_linear *linear, const struct codes *codes,
                         const float *in, int tokens, int first, int count, float *out,
                         int64_t out_stride) {
  int some;
  for (int output = first; output < first + count; output += some) {
    some = engram_in_one_tile(output, first + count);
    const uint8_t *scales = engram_scales_of(linear, output);
    float *to = out + (output - first);
    if (!TIER(ordinary_scales)(scales, linear->inputs / ENGRAM_BLOCK)) {
      TIER(project)(linear, in, tokens, output, some, to, out_stride);
      continue;
    }
    for (int token = 0; token < tokens; token += TOKENS) {
      int now = tokens - token < TOKENS ? tokens - token : TOKENS;
      outputs_of(linear, codes, in + (int64_t)token * linear->inputs, now, output, some,
                 to + token * out_stride, out_stride);
    }
  }
}

static void TIER(bf16_project)(const struct engram_linear *linear, const float *in, int64_t tokens,
                               int first, int count, float *out, int64_t out_stride) {
  const int64_t inputs = linear->inputs;
  if (!linear->nan_free || inputs % STEP != 0) {
    TIER(project)(linear, in, tokens, first, count, out, out_stride);
    return;
  }
  const struct codes codes = codes_as_bf16();
  int some;
  for (int64_t from = 0; from < tokens; from += some) {
    const float *own = in + from * inputs;
    float *to = out + from * out_stride;
    int is_short;
    some = engram_of_one_kind(are_bf16, own, inputs, tokens - from, CACHED_TOKENS, &is_short);
    if (is_short) {
      short_inputs(linear, &codes, own, some, first, count, to, out_stride);
    } else {
      TIER(project)(linear, own, some, first, count, to, out_stride);
    }
  }
}

#endif
