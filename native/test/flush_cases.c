/*
 * Threads that flush subnormal numbers to zero, as some hosts set theirs: what the header promises
 * them, and that kernels leave the setting as it was.
 */
#include "harness.h"

#if defined(__x86_64__)
static unsigned setting(void) {
  unsigned value;
  __asm__ volatile("stmxcsr %0" : "=m"(value));
  return value;
}

static void set(unsigned value) {
  __asm__ volatile("ldmxcsr %0" : : "m"(value));
}

#define FLUSH 0x8040u      /* results, and operands */
#define FLAGS 0x3fu        /* of exceptions that were seen */
#define ORDINARY_SCALES 16 /* 2^-7 to 2^8 */
#define FIRST_SCALE (127 - 7)

/* Every code times ordinary scales, to the bit; those with exponent 0 are what might be lost. */
static void gather(int tier, unsigned before) {
  unsigned char *weight = guarded(256 * ORDINARY_SCALES);
  unsigned char *scale = guarded(8 * ORDINARY_SCALES);
  long long *ids = guarded(sizeof(long long) * ORDINARY_SCALES);
  for (int row = 0; row < ORDINARY_SCALES; row++) {
    for (int code = 0; code < 256; code++) {
      weight[row * 256 + code] = (unsigned char)((code & 0x7f) == 0x7f ? 1 : code);
    }
    for (int block = 0; block < 8; block++) {
      scale[row * 8 + block] = (unsigned char)(FIRST_SCALE + row);
    }
    ids[row] = row;
  }
  struct engram_table table = {sizeof table, ENGRAM_F8_E4M3, 256, 0, ORDINARY_SCALES,
                               weight,       scale,          256, 8};
  for (int type = ENGRAM_F32; type <= ENGRAM_BF16; type++) {
    size_t bytes = (type == ENGRAM_F32 ? 4u : 2u) * 256 * ORDINARY_SCALES;
    unsigned char *expected = guarded(bytes);
    unsigned char *actual = guarded(bytes);
    engram_gather(ENGRAM_TIER_SCALAR, &table, ids, ORDINARY_SCALES, expected, type);
    set(before | FLUSH);
    int status = engram_gather(tier, &table, ids, ORDINARY_SCALES, actual, type);
    unsigned after = setting();
    set(before);
    expect(status == ENGRAM_OK && ((after ^ before) & ~FLAGS) == FLUSH, "setting", tier);
    expect(__builtin_memcmp(expected, actual, bytes) == 0, "rows of a thread that flushes", type);
  }
}

/* Ordinary numbers: the same bits as a thread that does not flush gets of the same tier. */
static void project(int tier, unsigned before) {
  struct engram_linear l = random_linear(32 * (1 + (int)below(8)), size(), 0);
  long long tokens = below(20);
  float *in = guarded(sizeof(float) * (size_t)(tokens * l.inputs));
  floats(in, tokens * l.inputs);
  size_t bytes = sizeof(float) * (size_t)(tokens * l.outputs);
  float *expected = guarded(bytes);
  float *actual = guarded(bytes);
  l.nan_free = engram_nan_free(tier, &l);
  long long some = engram_project_scratch(tier, &l, tokens);
  void *scratch = some > 0 ? guarded_lines((size_t)some) : NULL;
  int status =
      engram_project(tier, &l, in, tokens, 0, l.outputs, expected, l.outputs, scratch, some);
  expect(status == ENGRAM_OK, "project status", tokens);
  set(before | FLUSH);
  status = engram_project(tier, &l, in, tokens, 0, l.outputs, actual, l.outputs, scratch, some);
  unsigned after = setting();
  set(before);
  expect(status == ENGRAM_OK && ((after ^ before) & ~FLAGS) == FLUSH, "setting", tier);
  expect(__builtin_memcmp(expected, actual, bytes) == 0, "sums of a thread that flushes", tokens);
}

void flushing(int tier) {
  unsigned before = setting();
  gather(tier, before);
  for (int i = 0; i < 200; i++) {
    project(tier, before);
    release();
  }
}
#else
void flushing(int tier) {
  (void)tier; /* AArch64's threads begin without, and no host is known that sets it */
}
#endif
