/*
 * The loop of stage gate, which every tier compiles with its own
 *   GATE_SUMS(product, key, stream, type, hidden, end, soon, before, sums)
 *     sums of squares of stream and key, and of their products; and does the update `before` of
 *     another branch, unless that is null. For tiers that ask ahead: no stream lies at or behind
 *     end, and `soon` is read after this branch, which does not lie behind the key, or is null.
 *   GATE_APPLY(gate, value, stream, type, hidden, gated)
 *     stream += gate * value, or gated = gate * value
 */
#ifndef ENGRAM_STAGES_GATE_H
#define ENGRAM_STAGES_GATE_H

#include "../gate_formula.h"
#include "../kernels.h"

/* What is read after a branch and does not lie behind its key, or null. */
static inline const float *read_next(const float *keys, int branches, int branch, int64_t hidden,
                                     int another) {
  if (branch == 0) {
    return keys + branches * hidden; /* the value */
  }
  return another && branch == branches - 1 ? keys + (branches + 1) * hidden : NULL;
}

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
  struct engram_gate_update last;
  const struct engram_gate_update *before = NULL;
  for (int64_t token = 0; token < tokens; token++) {
    const float *keys = kv + token * (branches + 1) * hidden;
    const float *value = keys + branches * hidden;
    for (int branch = 0; branch < branches; branch++) {
      float *branch_gated = gated ? gated + (token * branches + branch) * hidden : NULL;
      float result = 0;
      if (mask[token]) {
        uint8_t *at = stream + token * token_stride + branch * branch_stride;
        double sums[3];
        const float *soon = read_next(keys, branches, branch, hidden, token + 1 < tokens);
        GATE_SUMS(gate->product + branch * hidden, keys + branch * hidden, at, type, hidden, end,
                  soon, before, sums);
        result = engram_gate_of(gate->hidden, gate->eps, gate->zero_is_half, sums);
        if (branch_gated) {
          GATE_APPLY(result, value, at, type, hidden, branch_gated);
        } else {
          last = (struct engram_gate_update){result, value, at};
          before = &last;
        }
      } else if (branch_gated) {
        __builtin_memset(branch_gated, 0, (size_t)hidden * sizeof(float));
      }
      engram_store_float(gates + token * branches + branch, result);
    }
  }
  if (before) {
    GATE_APPLY(last.gate, last.value, last.stream, type, hidden, NULL);
  }
}

#endif
