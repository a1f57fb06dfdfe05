/*
 * The loop of stage conv, which every tier compiles with its own
 *   CONV_NORM(gated, norm, eps, hidden, out)                normalised values of a branch
 *   CONV_TAPS(conv, gated, row, from, to, stream, type)     channels [from, to) of a branch: gated
 *                                                           becomes what is added to its stream
 */
#ifndef ENGRAM_STAGES_CONV_H
#define ENGRAM_STAGES_CONV_H

#include "../kernels.h"

static void conv_tokens(const struct engram_conv_weights *conv, float *gated, float *window,
                        const signed char *mask, int64_t tokens, uint8_t *stream, int type,
                        int64_t token_stride, int64_t branch_stride) {
  int64_t hidden = conv->hidden;
  int64_t channels = conv->branches * hidden;
  for (int64_t token = 0; token < tokens; token++) {
    float *own = gated + token * channels;
    float *row = window + token * channels;
    for (int branch = 0; branch < conv->branches; branch++) {
      int64_t at = branch * hidden;
      CONV_NORM(own + at, conv->norm + at, conv->eps, hidden, row + at);
    }
    if (!mask[token]) { /* no memory, so nothing is added, whatever the tokens before had */
      __builtin_memset(own, 0, (size_t)channels * sizeof(float));
      continue;
    }
    for (int branch = 0; branch < conv->branches; branch++) {
      int64_t at = branch * hidden;
      uint8_t *to = stream + token * token_stride + branch * branch_stride;
      CONV_TAPS(conv, own, row, at, at + hidden, to, type);
    }
  }
}

#endif
