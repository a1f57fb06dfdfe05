#include "harness.h"

struct gate_inputs {
  struct engram_gate_weights gate;
  float *kv;
  unsigned char *stream;
  signed char *mask;
  long long tokens;
  int type;
};

static size_t width_of(int type) {
  return type == ENGRAM_F32 ? 4 : 2;
}

static float stream_value(const unsigned char *stream, int type, long long i) {
  size_t width = width_of(type);
  float value = 0;
  __builtin_memcpy((char *)&value + 4 - width, stream + (size_t)i * width, width);
  return value;
}

static struct gate_inputs inputs(void (*fill)(float *, long long)) {
  int branches = 1 + (int)below(5);
  int hidden = size();
  long long tokens = below(8);
  int type = (int)below(2);
  float *product = guarded(sizeof(float) * (size_t)(branches * hidden));
  floats(product, (long long)branches * hidden);
  long long kv_size = tokens * (branches + 1) * hidden;
  float *kv = guarded(sizeof(float) * (size_t)kv_size);
  fill(kv, kv_size);
  long long stream_size = tokens * branches * hidden;
  float *values = guarded(sizeof(float) * (size_t)stream_size);
  fill(values, stream_size);
  size_t width = width_of(type);
  unsigned char *stream = guarded((size_t)stream_size * width);
  for (long long i = 0; i < stream_size; i++) {
    float value = below(10) == 0 ? 0 : at(values, i);
    __builtin_memcpy(stream + (size_t)i * width, (char *)&value + 4 - width, width);
  }
  signed char *mask = random_mask(tokens);
  struct engram_gate_weights gate = {
      sizeof gate, branches, hidden, (int)below(2), product, next() & 1 ? 1e-20f : 1e-6f, 0};
  return (struct gate_inputs){gate, kv, stream, mask, tokens, type};
}

static float *gates_of(int tier, const struct gate_inputs *in, unsigned char *stream,
                       float *gated) {
  int branches = in->gate.branches;
  float *gates = guarded(sizeof(float) * (size_t)(in->tokens * branches));
  long long stride = (long long)width_of(in->type) * in->gate.hidden;
  int status = engram_gate(tier, &in->gate, in->kv, stream, in->type, stride * branches, stride,
                           in->mask, in->tokens, gates, gated);
  expect(status == ENGRAM_OK, "gate status", status);
  return gates;
}

static void compare(int tier, const struct gate_inputs *in, int wild) {
  int branches = in->gate.branches;
  long long elements = in->tokens * branches * in->gate.hidden;
  size_t stream_bytes = (size_t)elements * width_of(in->type);
  unsigned char *twin = guarded(stream_bytes);
  __builtin_memcpy(twin, in->stream, stream_bytes);
  int values = (int)(next() & 1);
  float *gated = values ? guarded(sizeof(float) * (size_t)elements) : NULL;
  float *twin_gated = values ? guarded(sizeof(float) * (size_t)elements) : NULL;
  unsigned char *again = guarded(stream_bytes);
  float *again_gated = values ? guarded(sizeof(float) * (size_t)elements) : NULL;
  __builtin_memcpy(again, in->stream, stream_bytes);
  float *actual = gates_of(tier, in, in->stream, gated);
  float *again_gates = gates_of(tier, in, again, again_gated);
  size_t gate_bytes = sizeof(float) * (size_t)(in->tokens * branches);
  expect(same_bits(again_gates, actual, gate_bytes) && same_bits(again, in->stream, stream_bytes) &&
             (!values || same_bits(again_gated, gated, sizeof(float) * (size_t)elements)),
         "gate under another setting", in->tokens);
  float *expected = gates_of(ENGRAM_TIER_SCALAR, in, twin, twin_gated);
  for (long long i = 0; i < in->tokens * branches; i++) {
    close_each(at(actual, i), at(expected, i), 1e-6, "gate", i);
    expect(in->mask[i / branches] || at(actual, i) == 0, "masked gate", i);
  }
  if (values && !wild) {
    close_norm(gated, twin_gated, elements, "gated values");
  }
  for (long long i = 0; i < elements; i++) {
    float e = stream_value(twin, in->type, i);
    double magnitude = e < 0 ? -(double)e : e;
    double bound = (in->type == ENGRAM_F32 ? 1e-6 : 8e-3) * (1 + magnitude);
    close_each(stream_value(in->stream, in->type, i), e, bound, "stream", i);
    if (values) {
      double size = at(twin_gated, i) < 0 ? -(double)at(twin_gated, i) : at(twin_gated, i);
      close_each(at(gated, i), at(twin_gated, i), 1e-6 * (1 + size), "gated value", i);
    }
  }
}

void gate_case(int tier) {
  struct gate_inputs in = inputs(floats);
  compare(tier, &in, 0);
}

void gate_wild(int tier) {
  struct gate_inputs in = inputs(wild_floats);
  compare(tier, &in, 1);
}
