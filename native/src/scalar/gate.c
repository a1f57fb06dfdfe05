#include "../kernels.h"

static float load(const void *stream, int type, int64_t i) {
  const uint8_t *data = stream;
  return type == ENGRAM_F32 ? engram_load_float(data + 4 * i)
                            : engram_bits_to_float((uint32_t)engram_load16(data + 2 * i) << 16);
}

void engram_scalar_gate_sums(const float *product, const float *key, const void *stream, int type,
                             int64_t hidden, const void *end, double sums[3]) {
  (void)end;
  double streams = 0;
  double keys = 0;
  double dot = 0;
  for (int64_t i = 0; i < hidden; i++) {
    double x = load(stream, type, i);
    double k = engram_load_float(key + i);
    streams += x * x;
    keys += k * k;
    dot += x * product[i] * k;
  }
  sums[0] = streams;
  sums[1] = keys;
  sums[2] = dot;
}

void engram_scalar_gate_apply(float gate, const float *value, void *stream, int type,
                              int64_t hidden, float *gated, const float *next_key,
                              const void *end) {
  (void)next_key;
  (void)end;
  uint8_t *data = stream;
  for (int64_t i = 0; i < hidden; i++) {
    float product = gate * engram_load_float(value + i);
    if (gated) {
      engram_store_float(gated + i, product);
    } else if (type == ENGRAM_F32) {
      engram_store_float(data + 4 * i, load(stream, type, i) + product);
    } else {
      engram_store16(data + 2 * i, engram_to_bf16(load(stream, type, i) + product));
    }
  }
}
