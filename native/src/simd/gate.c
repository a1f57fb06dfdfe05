#include "simd.h"

INLINE floats load(const uint8_t *stream, int type, int64_t i) {
  return type == ENGRAM_F32 ? f_load(stream + 4 * i) : f_load_bf16(stream + 2 * i);
}

/* In double, as the truth has it: streams of 1e20 do not overflow, and memory is the limit. */
void TIER(gate_sums)(const float *product, const float *key, const void *stream, int type,
                     int64_t hidden, double sums[3]) {
  const uint8_t *data = stream;
  doubles streams[2] = {d_zero(), d_zero()};
  doubles keys[2] = {d_zero(), d_zero()};
  doubles dots[2] = {d_zero(), d_zero()};
  int64_t i = 0;
  for (; i + LANES <= hidden; i += LANES) {
    floats x = load(data, type, i);
    floats k = f_load(key + i);
    floats w = f_load(product + i);
    doubles x0 = d_low(x);
    doubles x1 = d_high(x);
    doubles k0 = d_low(k);
    doubles k1 = d_high(k);
    streams[0] = d_fma(x0, x0, streams[0]);
    streams[1] = d_fma(x1, x1, streams[1]);
    keys[0] = d_fma(k0, k0, keys[0]);
    keys[1] = d_fma(k1, k1, keys[1]);
    dots[0] = d_fma(d_mul(x0, d_low(w)), k0, dots[0]);
    dots[1] = d_fma(d_mul(x1, d_high(w)), k1, dots[1]);
  }
  engram_scalar_gate_sums(product + i, key + i, data + i * engram_type_bytes(type), type,
                          hidden - i, sums);
  sums[0] += d_sum(d_add(streams[0], streams[1]));
  sums[1] += d_sum(d_add(keys[0], keys[1]));
  sums[2] += d_sum(d_add(dots[0], dots[1]));
}

void TIER(gate_apply)(float gate, const float *value, void *stream, int type, int64_t hidden,
                      float *gated) {
  floats g = f_set(gate);
  uint8_t *data = stream;
  int64_t i = 0;
  for (; i + LANES <= hidden; i += LANES) {
    floats product = f_mul(g, f_load(value + i));
    if (gated) {
      f_store(gated + i, product);
      continue;
    }
    floats updated = f_add(load(data, type, i), product);
    if (type == ENGRAM_F32) {
      f_store(data + 4 * i, updated);
    } else {
      f_store_bf16(data + 2 * i, updated);
    }
  }
  engram_scalar_gate_apply(gate, value + i, data + i * engram_type_bytes(type), type, hidden - i,
                           gated ? gated + i : gated);
}
