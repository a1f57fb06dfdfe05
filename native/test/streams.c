#include "harness.h"

static size_t width_of(int type) {
  return type == ENGRAM_F32 ? 4 : 2;
}

struct stream random_stream(long long tokens, int branches, int hidden) {
  int type = (int)below(2);
  long long width = (long long)width_of(type);
  long long branch_stride = width * (hidden + below(3));
  long long token_stride = branch_stride * branches + width * below(3);
  size_t bytes = 0; /* behind the last element there is nothing */
  if (tokens > 0) {
    bytes = (size_t)((tokens - 1) * token_stride + (branches - 1) * branch_stride + width * hidden);
  }
  struct stream s = {guarded(bytes), type, token_stride, branch_stride, bytes};
  for (size_t i = 0; i + (size_t)width <= bytes; i += (size_t)width) {
    float value = below(10) == 0 ? 0 : gaussian();
    __builtin_memcpy(s.data + i, (char *)&value + 4 - width, (size_t)width);
  }
  return s;
}

struct stream same_stream(const struct stream *s) {
  struct stream copy = *s;
  copy.data = guarded(s->bytes);
  __builtin_memcpy(copy.data, s->data, s->bytes);
  return copy;
}

float stream_at(const struct stream *s, long long token, int branch, int i) {
  size_t width = width_of(s->type);
  long long at = token * s->token_stride + branch * s->branch_stride + (long long)width * i;
  float value = 0;
  __builtin_memcpy((char *)&value + 4 - width, s->data + at, width);
  return value;
}

signed char *random_mask(long long tokens) {
  signed char *mask = guarded((size_t)tokens);
  for (long long i = 0; i < tokens; i++) {
    mask[i] = below(4) != 0;
  }
  return mask;
}
