#include "../kernels.h"

#define MAGNITUDE 0x7fffffffu
#define INFINITE 0x7f800000u
#define TOP 0x80000000u

/* Some bits at once, on any CPU of the architecture. */
typedef uint32_t words __attribute__((vector_size(16)));
#define WORDS ((int64_t)(sizeof(words) / sizeof(uint32_t)))

static uint32_t bits_of(const float *at) {
  uint32_t bits;
  __builtin_memcpy(&bits, at, sizeof bits);
  return bits;
}

/* Whether any magnitude has these bits or more: adding what lacks to the top bit sets it. */
static int reach(uint32_t least, const float *values, int64_t count) {
  const uint32_t lacking = TOP - least;
  words seen = {0};
  int64_t i = 0;
  for (; i + WORDS <= count; i += WORDS) {
    words bits;
    __builtin_memcpy(&bits, values + i, sizeof bits);
    seen |= (bits & MAGNITUDE) + lacking;
  }
  uint32_t any = seen[0] | seen[1] | seen[2] | seen[3];
  for (; i < count; i++) {
    any |= (bits_of(values + i) & MAGNITUDE) + lacking;
  }
  return any >> 31 != 0;
}

/*
 * Tiers multiply in float, where products of inputs near 3.4e38 are infinite though the sum is not:
 * such outputs are done again in double. Looking for them costs a read of the outputs. With a NaN
 * among the inputs all outputs are NaN, and are left.
 */
void engram_repair_overflow(const struct engram_linear *linear, const float *in, int64_t tokens,
                            int first, int count, float *out, int64_t out_stride) {
  for (int64_t token = 0; token < tokens; token++) {
    const float *own = in + token * linear->inputs;
    float *to = out + token * out_stride;
    if (!reach(INFINITE, to, count) || reach(INFINITE + 1, own, linear->inputs)) {
      continue;
    }
    for (int i = 0; i < count; i++) {
      if (reach(INFINITE, to + i, 1)) {
        engram_scalar_project(linear, own, 1, first + i, 1, to + i, 1);
      }
    }
  }
}
