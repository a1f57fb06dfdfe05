#include "../kernels.h"

void engram_scalar_gate_sums(const float *product, const float *key, const uint8_t *stream,
                             int type, int64_t hidden, double sums[3]) {
  double streams = 0;
  double keys = 0;
  double dot = 0;
  for (int64_t i = 0; i < hidden; i++) {
    double x = engram_stream_load(stream, type, i);
    double k = engram_load_float(key + i);
    streams += x * x;
    keys += k * k;
    dot += x * product[i] * k;
  }
  sums[0] = streams;
  sums[1] = keys;
  sums[2] = dot;
}

void engram_scalar_gate_apply(float gate, const float *value, uint8_t *stream, int type,
                              int64_t hidden, float *gated) {
  for (int64_t i = 0; i < hidden; i++) {
    float product = gate * engram_load_float(value + i);
    if (gated) {
      engram_store_float(gated + i, product);
    } else {
      engram_stream_store(stream, type, i, engram_stream_load(stream, type, i) + product);
    }
  }
}

static void sums_after_update(const float *product, const float *key, const uint8_t *stream,
                              int type, int64_t hidden, const void *end, const float *soon,
                              const struct engram_gate_update *before, double sums[3]) {
  (void)end;
  (void)soon;
  if (before) {
    engram_scalar_gate_apply(before->gate, before->value, before->stream, type, hidden, NULL);
  }
  engram_scalar_gate_sums(product, key, stream, type, hidden, sums);
}

#define GATE_SUMS sums_after_update
#define GATE_APPLY engram_scalar_gate_apply
#include "../stages/gate.h"

void engram_scalar_gate(const struct engram_gate_weights *gate, const float *kv, uint8_t *stream,
                        int type, int64_t token_stride, int64_t branch_stride,
                        const signed char *mask, int64_t tokens, float *gates, float *gated) {
  gate_tokens(gate, kv, stream, type, token_stride, branch_stride, mask, tokens, gates, gated);
}
