/*
 * Every tier that this CPU has against the scalar tier: random shapes around every vector edge,
 * each buffer flush against an unreadable page, behind or before. Arguments: cases, seed.
 */
#define _DEFAULT_SOURCE
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../include/engram.h"

static unsigned long long state;
static long long checked;
static int failures;

static unsigned long long next(void) {
  state += 0x9e3779b97f4a7c15ull;
  unsigned long long z = state;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

static long long below(long long bound) {
  return (long long)(next() % (unsigned long long)bound);
}

static float gaussian(void) {
  float sum = 0;
  for (int i = 0; i < 4; i++) {
    sum += (float)(int)next() * 0x1p-31f;
  }
  return sum;
}

static int size(void) {
  static const int sizes[] = {1,  2,  3,  4,  5,  7,  8,  9,  15, 16,  17,  23,  24,  25,  31,
                              32, 33, 47, 63, 64, 65, 95, 96, 97, 127, 128, 129, 160, 256, 257};
  return sizes[below(sizeof sizes / sizeof *sizes)];
}

/* A buffer between two pages that cannot be touched, flush against one of them. */
struct guarded {
  char *map;
  size_t length;
  char *data;
};

#define MOST 64
static struct guarded buffers[MOST];
static int used;

static void *guarded(size_t bytes) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  size_t inner = (bytes + page - 1) / page * page + (bytes == 0 ? page : 0);
  char *map = mmap(NULL, inner + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (map == MAP_FAILED || used == MOST || mprotect(map + page, inner, PROT_READ | PROT_WRITE)) {
    perror("guarded");
    exit(2);
  }
  char *data = map + page + (next() & 1 ? 0 : inner - bytes);
  buffers[used++] = (struct guarded){map, inner + 2 * page, data};
  return data;
}

static void release(void) {
  while (used > 0) {
    used--;
    munmap(buffers[used].map, buffers[used].length);
  }
}

static void expect(int condition, const char *what, long long at) {
  checked++;
  if (!condition && failures++ < 20) {
    fprintf(stderr, "FAILED: %s at %lld\n", what, at);
  }
}

static void floats(float *to, long long count) {
  for (long long i = 0; i < count; i++) {
    float value = gaussian();
    memcpy(to + i, &value, sizeof value);
  }
}

static float at(const float *from, long long i) {
  float value;
  memcpy(&value, from + i, sizeof value);
  return value;
}

/* ||a - b|| <= 2e-6 ||b|| */
static void close_norm(const float *a, const float *b, long long count, const char *what) {
  double difference = 0;
  double norm = 0;
  for (long long i = 0; i < count; i++) {
    double d = (double)at(a, i) - at(b, i);
    difference += d * d;
    norm += (double)at(b, i) * at(b, i);
  }
  expect(sqrt(difference) <= 2e-6 * sqrt(norm), what, count);
}

static void hash_case(int tier) {
  int max_ngram = 2 + (int)below(5);
  int heads = 1 + (int)below(9);
  int columns = (max_ngram - 1) * heads;
  long long tokens = below(20);
  int wild = below(4) == 0; /* ids outside any vocabulary: products wrap */
  long long multipliers[8];
  long long *primes = malloc(sizeof(long long) * (size_t)columns);
  long long *offsets = malloc(sizeof(long long) * (size_t)columns);
  double *inverses = malloc(sizeof(double) * (size_t)columns);
  int bits = 1 + (int)below(31);
  for (int i = 0; i < max_ngram; i++) {
    multipliers[i] = (long long)(next() >> (wild ? 0 : 17)) | 1;
  }
  for (int i = 0; i < columns; i++) {
    primes[i] = 1 + below(1LL << bits); /* the formula holds for any modulus */
    offsets[i] = below(1LL << 40);
    inverses[i] = 1.0 / (double)primes[i];
  }
  struct engram_layout layout = {sizeof layout, max_ngram, heads,   0,
                                 multipliers,   primes,    offsets, inverses};
  int *windows = guarded(sizeof(int) * (size_t)(tokens * max_ngram));
  for (long long i = 0; i < tokens * max_ngram; i++) {
    int id = wild ? (int)next() : (int)below(99092);
    memcpy(windows + i, &id, sizeof id);
  }
  long long *actual = guarded(sizeof(long long) * (size_t)(tokens * columns));
  long long *expected = guarded(sizeof(long long) * (size_t)(tokens * columns));
  expect(engram_hash(tier, &layout, windows, tokens, actual) == ENGRAM_OK, "hash status", tokens);
  expect(engram_hash(0, &layout, windows, tokens, expected) == ENGRAM_OK, "hash status", tokens);
  expect(memcmp(actual, expected, sizeof(long long) * (size_t)(tokens * columns)) == 0, "hash",
         tokens);
  for (long long i = 0; i < tokens * columns; i++) {
    long long id;
    memcpy(&id, expected + i, sizeof id);
    long long row = id - offsets[i % columns];
    expect(row >= 0 && row < primes[i % columns], "hash range", i);
  }
  free(primes);
  free(offsets);
  free(inverses);
}

/* The remainder where rounding is hardest: multiples of the modulus, one more and one less. */
static void hash_edges(int tier) {
  static const long long moduli[] = {8192, 8209, 16000057, 16000463, 384016681, 2147483647};
  long long multiplier = 1;
  for (size_t m = 0; m < sizeof moduli / sizeof *moduli; m++) {
    long long p = moduli[m];
    long long primes[4] = {p, p, p, p};
    long long offsets[4] = {0, 0, 0, 0};
    double inverses[4] = {1.0 / (double)p, 1.0 / (double)p, 1.0 / (double)p, 1.0 / (double)p};
    for (int i = 0; i < 20000; i++) {
      long long largest = 0x7fffffffffffffffLL / p;
      long long n = i < 100 ? largest - i : below(largest);
      for (int delta = -1; delta <= 1; delta++) {
        long long x = n * p + delta;
        if (x < 0) {
          continue;
        }
        /* two ids with these multipliers give any x: id 1 times x, id 0 times 1 */
        long long multipliers[2] = {x, multiplier};
        struct engram_layout layout = {sizeof layout, 2,      4,       0,
                                       multipliers,   primes, offsets, inverses};
        int window[2] = {1, 0};
        int negative[2] = {-1, 0};
        long long rows[4];
        engram_hash(tier, &layout, window, 1, rows);
        expect(rows[0] == x % p && rows[3] == x % p, "hash edge", x);
        engram_hash(tier, &layout, negative, 1, rows);
        expect(rows[0] == (p - x % p) % p, "negative hash edge", x);
      }
    }
  }
}

static void gather_case(int tier) {
  int type = (int)below(4);
  int out_type = (int)below(2);
  int head_dim = below(3) == 0 ? 256 : size();
  long long rows = 1 + below(40);
  long long count = below(60);
  size_t width = type == ENGRAM_F32 ? 4 : type == ENGRAM_F8_E4M3 ? 1 : 2;
  size_t bytes = (size_t)(rows * head_dim) * width;
  size_t scales = (size_t)(rows * ((head_dim + 31) / 32));
  unsigned char *weight = guarded(bytes);
  unsigned char *scale = guarded(scales);
  for (size_t i = 0; i < bytes; i++) {
    weight[i] = (unsigned char)next();
  }
  for (size_t i = 0; i < scales; i++) {
    scale[i] = (unsigned char)next();
  }
  struct engram_table table = {
      sizeof table, type, head_dim, 0, rows, weight, type == ENGRAM_F8_E4M3 ? scale : NULL};
  long long *ids = guarded(sizeof(long long) * (size_t)count);
  for (long long i = 0; i < count; i++) {
    long long id = below(4) == 0 ? rows - 1 : below(rows + 1) - 1;
    memcpy(ids + i, &id, sizeof id);
  }
  size_t out_bytes = (size_t)(count * head_dim) * (out_type == ENGRAM_F32 ? 4 : 2);
  unsigned char *actual = guarded(out_bytes);
  unsigned char *expected = guarded(out_bytes);
  expect(engram_gather(tier, &table, ids, count, actual, out_type) == ENGRAM_OK, "gather status",
         count);
  expect(engram_gather(0, &table, ids, count, expected, out_type) == ENGRAM_OK, "gather status",
         count);
  for (long long i = 0; i < count * head_dim; i++) {
    unsigned int a = 0;
    unsigned int e = 0;
    size_t step = out_type == ENGRAM_F32 ? 4 : 2;
    memcpy(&a, actual + (size_t)i * step, step);
    memcpy(&e, expected + (size_t)i * step, step);
    unsigned int infinity = out_type == ENGRAM_F32 ? 0x7f800000u : 0x7f80u;
    unsigned int magnitude = out_type == ENGRAM_F32 ? 0x7fffffffu : 0x7fffu;
    int both_nan = (a & magnitude) > infinity && (e & magnitude) > infinity;
    expect(a == e || both_nan, "gather", i);
  }
  if (count > 0) {
    long long bad = next() & 1 ? rows + below(1LL << 40) : -2 - below(1LL << 40);
    memcpy(ids + below(count), &bad, sizeof bad);
    expect(engram_gather(tier, &table, ids, count, actual, out_type) == ENGRAM_ERROR_ROW,
           "bad row id", bad);
  }
}

static void project_case(int tier) {
  int inputs = size();
  int outputs = size();
  long long tokens = below(40);
  int types[] = {ENGRAM_F32, ENGRAM_BF16, ENGRAM_F8_E4M3};
  int type = types[below(3)];
  size_t width = type == ENGRAM_F32 ? 4 : type == ENGRAM_F8_E4M3 ? 1 : 2;
  unsigned char *weight = guarded((size_t)inputs * (size_t)outputs * width);
  for (long long i = 0; i < (long long)inputs * outputs; i++) {
    float value = gaussian();
    unsigned int bits;
    memcpy(&bits, &value, sizeof bits);
    unsigned short upper = (unsigned short)(bits >> 16);
    unsigned char code = (unsigned char)next();
    code = (code & 0x7f) == 0x7f ? 0 : code;
    memcpy(weight + (size_t)i * width,
           type == ENGRAM_F32    ? (void *)&value
           : type == ENGRAM_BF16 ? (void *)&upper
                                 : &code,
           width);
  }
  size_t tiles = (size_t)((inputs + 31) / 32) * (size_t)((outputs + 31) / 32);
  unsigned char *scale = guarded(tiles);
  for (size_t i = 0; i < tiles; i++) {
    scale[i] = (unsigned char)(110 + below(20));
  }
  float *bias = malloc(sizeof(float) * (size_t)outputs);
  floats(bias, outputs);
  struct engram_linear linear = {
      sizeof linear,           type, outputs, inputs, weight, type == ENGRAM_F8_E4M3 ? scale : NULL,
      next() & 1 ? bias : NULL};
  float *in = guarded(sizeof(float) * (size_t)(tokens * inputs));
  floats(in, tokens * inputs);
  float *actual = guarded(sizeof(float) * (size_t)(tokens * outputs));
  float *expected = guarded(sizeof(float) * (size_t)(tokens * outputs));
  expect(engram_project(tier, &linear, in, tokens, 0, outputs, actual, outputs) == ENGRAM_OK,
         "project status", tokens);
  engram_project(0, &linear, in, tokens, 0, outputs, expected, outputs);
  if (tokens * outputs >= 16) { /* fewer sums can all cancel, and then floats have no digits left */
    close_norm(actual, expected, tokens * outputs, "project");
  }
  /* any range of tokens and outputs gives the same bits as all of them at once */
  int first = (int)below(outputs);
  int count = (int)below(outputs - first + 1);
  long long from = tokens ? below(tokens) : 0;
  long long some = tokens ? below(tokens - from + 1) : 0;
  float *part = guarded(sizeof(float) * (size_t)(some * count));
  engram_project(tier, &linear, in + from * inputs, some, first, count, part, count);
  for (long long i = 0; i < some * count; i++) {
    float whole = at(actual, (from + i / count) * outputs + first + i % count);
    float own = at(part, i);
    expect(memcmp(&whole, &own, sizeof own) == 0, "part of a projection", i);
  }
  free(bias);
}

static void gate_case(int tier) {
  int branches = 1 + (int)below(5);
  int hidden = size();
  long long tokens = below(8);
  int type = (int)below(2);
  size_t width = type == ENGRAM_F32 ? 4 : 2;
  float *product = malloc(sizeof(float) * (size_t)(branches * hidden));
  floats(product, (long long)branches * hidden);
  struct engram_gate_weights gate = {
      sizeof gate, branches, hidden, (int)below(2), product, next() & 1 ? 1e-20f : 1e-6f, 0};
  float *kv = guarded(sizeof(float) * (size_t)(tokens * (branches + 1) * hidden));
  floats(kv, tokens * (branches + 1) * hidden);
  size_t stream_bytes = (size_t)(tokens * branches * hidden) * width;
  unsigned char *stream = guarded(stream_bytes);
  unsigned char *twin = guarded(stream_bytes);
  for (size_t i = 0; i < stream_bytes / width; i++) {
    float value = below(10) == 0 ? 0 : gaussian();
    memcpy(stream + i * width, (char *)&value + 4 - width, width);
  }
  memcpy(twin, stream, stream_bytes);
  signed char *mask = guarded((size_t)tokens);
  for (long long i = 0; i < tokens; i++) {
    mask[i] = below(4) != 0;
  }
  float *actual = guarded(sizeof(float) * (size_t)(tokens * branches));
  float *expected = guarded(sizeof(float) * (size_t)(tokens * branches));
  int values = (int)(next() & 1);
  float *gated = values ? guarded(sizeof(float) * (size_t)(tokens * branches * hidden)) : NULL;
  float *twin_gated = values ? guarded(sizeof(float) * (size_t)(tokens * branches * hidden)) : NULL;
  long long branch_stride = (long long)width * hidden;
  expect(engram_gate(tier, &gate, kv, stream, type, branch_stride * branches, branch_stride, mask,
                     tokens, actual, gated) == ENGRAM_OK,
         "gate status", tokens);
  engram_gate(0, &gate, kv, twin, type, branch_stride * branches, branch_stride, mask, tokens,
              expected, twin_gated);
  for (long long i = 0; i < tokens * branches; i++) {
    expect(fabs(at(actual, i) - at(expected, i)) <= 1e-6, "gate", i);
    expect(mask[i / branches] || at(actual, i) == 0, "masked gate", i);
  }
  if (values) {
    close_norm(gated, twin_gated, tokens * branches * hidden, "gated values");
  }
  for (size_t i = 0; i < stream_bytes / width; i++) {
    float a = 0;
    float e = 0;
    memcpy((char *)&a + 4 - width, stream + i * width, width);
    memcpy((char *)&e + 4 - width, twin + i * width, width);
    double bound = type == ENGRAM_F32 ? 1e-6 : 8e-3;
    expect(fabs(a - e) <= bound * (1 + fabs(e)), "stream", (long long)i);
  }
  free(product);
}

static void conv_case(int tier) {
  int branches = 1 + (int)below(4);
  int hidden = size();
  int kernel = below(2) ? 4 : 1 + (int)below(5);
  int dilation = 1 + (int)below(4);
  long long tokens = below(6);
  long long channels = (long long)branches * hidden;
  long long reach = (long long)(kernel - 1) * dilation;
  float *taps = malloc(sizeof(float) * (size_t)(channels * kernel));
  float *norm = malloc(sizeof(float) * (size_t)channels);
  floats(taps, channels * kernel);
  floats(norm, channels);
  struct engram_conv_weights conv = {sizeof conv, branches, hidden, kernel,
                                     dilation,    1e-5f,    taps,   norm};
  float *gated = guarded(sizeof(float) * (size_t)(tokens * channels));
  float *window = guarded(sizeof(float) * (size_t)((reach + tokens) * channels));
  float *twin = guarded(sizeof(float) * (size_t)((reach + tokens) * channels));
  floats(gated, tokens * channels);
  floats(window, (reach + tokens) * channels);
  memcpy(twin, window, sizeof(float) * (size_t)((reach + tokens) * channels));
  float *actual = guarded(sizeof(float) * (size_t)(tokens * channels));
  float *expected = guarded(sizeof(float) * (size_t)(tokens * channels));
  expect(engram_conv(tier, &conv, gated, window, tokens, actual) == ENGRAM_OK, "conv status",
         tokens);
  engram_conv(0, &conv, gated, twin, tokens, expected);
  close_norm(actual, expected, tokens * channels, "conv");
  close_norm(window, twin, (reach + tokens) * channels, "conv window");
  free(taps);
  free(norm);
}

static void arguments(void) {
  long long ids[1] = {0};
  int window[2] = {0, 0};
  float data[64] = {0};
  float out[64];
  struct engram_table table = {sizeof table, ENGRAM_F32, 1, 0, 1, data, NULL};
  struct engram_layout layout = {sizeof layout, 2, 1, 0, ids, ids, ids, NULL};
  expect(engram_abi() == ENGRAM_ABI, "abi", engram_abi());
  expect(engram_gather(99, &table, ids, 1, out, 0) == ENGRAM_ERROR_TIER, "tier", 99);
  expect(engram_gather(-1, &table, ids, 1, out, 0) == ENGRAM_ERROR_TIER, "tier", -1);
  expect(engram_gather(0, NULL, ids, 1, out, 0) == ENGRAM_ERROR_ARGUMENT, "null table", 0);
  expect(engram_gather(0, &table, ids, -1, out, 0) == ENGRAM_ERROR_ARGUMENT, "negative count", 0);
  expect(engram_gather(0, &table, ids, 1, out, 2) == ENGRAM_ERROR_ARGUMENT, "type", 2);
  expect(engram_hash(0, &layout, window, -1, ids) == ENGRAM_ERROR_ARGUMENT, "negative tokens", 0);
  table.struct_size--;
  layout.struct_size++;
  expect(engram_gather(0, &table, ids, 1, out, 0) == ENGRAM_ERROR_STRUCT, "struct", 0);
  expect(engram_hash(0, &layout, window, 1, ids) == ENGRAM_ERROR_STRUCT, "struct", 0);
  for (int status = 1; status >= -9; status--) {
    expect(strlen(engram_status_text(status)) > 1, "text", status);
  }
}

int main(int argc, char **argv) {
  long long cases = argc > 1 ? atoll(argv[1]) : 20000;
  state = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
  printf("built by %s, best tier %d, seed %llu\n", engram_build_info(), engram_best_tier(), state);
  arguments();
  for (int tier = 0; tier <= engram_best_tier(); tier++) {
    hash_edges(tier);
    for (long long i = 0; i < cases; i++) {
      void (*const kinds[])(int) = {hash_case, gather_case, project_case, gate_case, conv_case};
      kinds[i % 5](tier);
      release();
    }
    printf("tier %d executed: %lld cases\n", tier, cases);
  }
  printf("%lld comparisons passed, %d failed\n", checked - failures, failures);
  return failures == 0 ? 0 : 1;
}
