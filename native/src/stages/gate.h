/*
 * The loop of stage gate, which every tier compiles with its own
 *   GATE_SUMS(product, key, stream, type, hidden, end, sums)   sums of squares of stream and key,
 * and of their products GATE_APPLY(gate, value, stream, type, hidden, gated, next_key, end) stream
 * += gate * value, or gated = No stream lies at or behind end, and next_key is what the next sums
 * take: tiers may ask for them.
 */
#ifndef ENGRAM_STAGES_GATE_H
#define ENGRAM_STAGES_GATE_H

#include "../gate_formula.h"
#include "../kernels.h"

static void gate_tokens(const struct engram_gate_weights *gate, const float *kv, uint8_t *stream,
                        int type, int64_t token_stride, int64_t branch_stride,
                        const signed char *mask, int64_t tokens, float *gates, float *gated) {
  int branches = gate->branches;
  int64_t hidden = gate->hidden;
  const uint8_t *end = stream; /* behind the last element */
  if (tokens > 0) {
    end += (tokens - 1) * token_stride + (branches - 1) * branch_stride;
    end += hidden * engram_out_bytes(type);
  }
  for (int64_t token = 0; token < tokens; token++) {
    const float *keys = kv + token * (branches + 1) * hidden;
    const float *value = keys + branches * hidden;
    for (int branch = 0; branch < branches; branch++) {
      float *branch_gated = gated ? gated + (token * branches + branch) * hidden : NULL;
      float result = 0;
      if (mask[token]) {
        uint8_t *at = stream + token * token_stride + branch * branch_stride;
        const float *key = keys + branch * hidden;
        int last = branch + 1 == branches; /* the value lies before the next token's keys */
        const float *next = !last ? key + hidden : token + 1 < tokens ? value + hidden : key;
        double sums[3];
        GATE_SUMS(gate->product + branch * hidden, key, at, type, hidden, end, sums);
        result = engram_gate_of(gate->hidden, gate->eps, gate->zero_is_half, sums);
        GATE_APPLY(result, value, at, type, hidden, branch_gated, next, end);
      } else if (branch_gated) {
        __builtin_memset(branch_gated, 0, (size_t)hidden * sizeof(float));
      }
      engram_store_float(gates + token * branches + branch, result);
    }
  }
}

#endif
