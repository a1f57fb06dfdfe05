/* Random inputs, comparisons, and the run over all cases. */
#include "harness.h"

unsigned long long random_state;
long long checked;
int failures;

unsigned long long next(void) {
  random_state += 0x9e3779b97f4a7c15ull;
  unsigned long long z = random_state;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

long long below(long long bound) {
  return (long long)(next() % (unsigned long long)bound);
}

float gaussian(void) {
  float sum = 0;
  for (int i = 0; i < 4; i++) {
    sum += (float)(int)next() * 0x1p-31f;
  }
  return sum;
}

int size(void) {
  static const int sizes[] = {1,  2,  3,  4,  5,   7,   8,   9,   15,  16,  17,
                              23, 24, 25, 31, 32,  33,  47,  48,  49,  63,  64,
                              65, 95, 96, 97, 127, 128, 129, 160, 255, 256, 257};
  return sizes[below(sizeof sizes / sizeof *sizes)];
}

void floats(float *to, long long count) {
  for (long long i = 0; i < count; i++) {
    float value = gaussian();
    __builtin_memcpy(to + i, &value, sizeof value);
  }
}

void wild_floats(float *to, long long count) {
  floats(to, count);
  static const unsigned wild[] = {0x7fc00000, 0xffc00000, 0x7f800000, 0xff800000, 1,
                                  0x80000001, 0x007fffff, 0x00800000, 0,          0x80000000,
                                  0x7149f2ca, 0x0da24260, 0x7f800001};
  long long some = below(4); /* often none at all, and seldom so many that all is NaN */
  for (long long i = 0; i < some && count > 0; i++) {
    const unsigned *value = wild + below(sizeof wild / sizeof *wild);
    __builtin_memcpy(to + below(count), value, sizeof *value);
  }
}

void floats_of_any_size(float *to, long long count) {
  for (long long i = 0; i < count; i++) {
    float value = gaussian() * (below(4) == 0 ? 1e20f : below(3) == 0 ? 1e-20f : 1.0f);
    __builtin_memcpy(to + i, &value, sizeof value);
  }
}

float at(const float *from, long long i) {
  float value;
  __builtin_memcpy(&value, from + i, sizeof value);
  return value;
}

int same_bits(const void *a, const void *b, size_t bytes) {
  const unsigned char *x = a;
  const unsigned char *y = b;
  for (size_t i = 0; i < bytes; i++) {
    if (x[i] != y[i]) {
      return 0;
    }
  }
  return 1;
}

int is_nan(float value) {
  return value != value;
}

int is_finite(float value) {
  return value - value == 0;
}

void expect(int condition, const char *what, long long at) {
  checked++;
  if (!condition && failures++ < MOST_FAILURES) {
    report(what, at);
  }
}

void close_sum(const float *a, const float *b, const float *part, long long count,
               const char *what) {
  double difference = 0;
  double norm = 0;
  double size = 0;
  for (long long i = 0; i < count; i++) {
    double d = (double)at(a, i) - at(b, i);
    difference += d * d;
    norm += (double)at(b, i) * at(b, i);
    size += (double)at(part, i) * at(part, i);
  }
  expect(difference <= 4e-12 * (norm > size ? norm : size), what, count);
}

void close_norm(const float *a, const float *b, long long count, const char *what) {
  close_sum(a, b, b, count, what);
}

void close_each(float a, float b, double bound, const char *what, long long at) {
  double difference = (double)a - b;
  int close = difference <= bound && -difference <= bound;
  expect(a == b || close || (is_nan(a) && is_nan(b)), what, at);
}

const char *tier_name(int tier) {
  static const char *const names[TIERS] = {"scalar",      "avx2",     "avx512",   "neon",
                                           "avx512_bf16", "amx_bf16", "neon_bf16"};
  return names[tier];
}

long long run_tier(int tier, long long cases, long long mass) {
  static void (*const kinds[])(int) = {hash_case, gather_case,  project_case, gate_case,
                                       conv_case, project_wild, gate_wild,    arguments};
  hash_edges(tier, mass < 20000 ? (int)mass : 20000);
  gather_codes(tier);
  gather_strides(tier);
  hash_mass(tier, mass);
  gather_mass(tier, mass / 3);
  release();
  for (long long i = 0; i < cases; i++) {
    kinds[i % 8](tier);
    release();
  }
  return cases;
}
