#include "harness.h"

/* A layout whose arrays are guarded, too. */
static struct engram_layout layout(int max_ngram, int heads, int bits, int wild) {
  int columns = (max_ngram - 1) * heads;
  long long *multipliers = guarded(sizeof(long long) * (size_t)max_ngram);
  long long *primes = guarded(sizeof(long long) * (size_t)columns);
  long long *offsets = guarded(sizeof(long long) * (size_t)columns);
  double *inverses = guarded(sizeof(double) * (size_t)columns);
  for (int i = 0; i < max_ngram; i++) {
    long long multiplier = (long long)(next() >> (wild ? 0 : 17)) | 1;
    __builtin_memcpy(multipliers + i, &multiplier, sizeof multiplier);
  }
  for (int i = 0; i < columns; i++) {
    long long prime = 1 + below(1LL << bits); /* the formula holds for any modulus */
    long long offset = below(1LL << 40);
    double inverse = 1.0 / (double)prime;
    __builtin_memcpy(primes + i, &prime, sizeof prime);
    __builtin_memcpy(offsets + i, &offset, sizeof offset);
    __builtin_memcpy(inverses + i, &inverse, sizeof inverse);
  }
  return (struct engram_layout){
      sizeof(struct engram_layout), max_ngram, heads, 0, multipliers, primes, offsets, inverses};
}

static void compare(int tier, const struct engram_layout *l, const int *windows, long long tokens) {
  int columns = (l->max_ngram - 1) * l->heads;
  size_t bytes = sizeof(long long) * (size_t)(tokens * columns);
  long long *actual = guarded(bytes);
  long long *expected = guarded(bytes);
  expect(engram_hash(tier, l, windows, tokens, actual) == ENGRAM_OK, "hash status", tokens);
  expect(engram_hash(ENGRAM_TIER_SCALAR, l, windows, tokens, expected) == ENGRAM_OK, "hash status",
         tokens);
  for (long long i = 0; i < tokens * columns; i++) {
    long long a;
    long long e;
    long long prime;
    long long offset;
    __builtin_memcpy(&a, actual + i, sizeof a);
    __builtin_memcpy(&e, expected + i, sizeof e);
    __builtin_memcpy(&prime, l->primes + i % columns, sizeof prime);
    __builtin_memcpy(&offset, l->offsets + i % columns, sizeof offset);
    expect(a == e && e >= offset && e - offset < prime, "hash", i);
  }
}

static int *random_windows(long long ids, int wild) {
  int *windows = guarded(sizeof(int) * (size_t)ids);
  for (long long i = 0; i < ids; i++) {
    int id = wild ? (int)next() : (int)below(99092);
    __builtin_memcpy(windows + i, &id, sizeof id);
  }
  return windows;
}

void hash_case(int tier) {
  int max_ngram = 2 + (int)below(5);
  int heads = 1 + (int)below(20);
  int wild = below(4) == 0; /* ids outside any vocabulary: products wrap */
  int bits = below(2) ? 31 : 14 + (int)below(17);
  struct engram_layout l = layout(max_ngram, heads, below(8) ? bits : 1 + (int)below(13), wild);
  long long tokens = below(20);
  compare(tier, &l, random_windows(tokens * max_ngram, wild), tokens);
}

/* V4.1's shape: 3 orders of 8 heads, moduli of 24 bits. */
void hash_mass(int tier, long long row_ids) {
  for (long long done = 0; done < row_ids; done += 24 * 1000) {
    struct engram_layout l = layout(4, 8, 24, 0);
    for (int i = 0; i < 24; i++) {
      long long prime = 16000000 + below(1000000);
      double inverse = 1.0 / (double)prime;
      __builtin_memcpy((long long *)l.primes + i, &prime, sizeof prime);
      __builtin_memcpy((double *)l.inverses + i, &inverse, sizeof inverse);
    }
    compare(tier, &l, random_windows(4 * 1000, 0), 1000);
    release();
  }
}

void hash_edges(int tier, int count) {
  static const long long moduli[] = {8192, 8209, 16000057, 16000463, 384016681, 2147483647};
  for (size_t m = 0; m < sizeof moduli / sizeof *moduli; m++) {
    long long p = moduli[m];
    long long primes[8] = {p, p, p, p, p, p, p, p};
    long long offsets[8] = {0};
    double inverses[8];
    for (int i = 0; i < 8; i++) {
      inverses[i] = 1.0 / (double)p;
    }
    for (int i = 0; i < count; i++) {
      long long largest = 0x7fffffffffffffffLL / p;
      long long n = i < 100 ? largest - i : below(largest);
      for (int delta = -1; delta <= 1; delta++) {
        /* an id of 1 times x, and one of 0: any x at all */
        unsigned long long x = (unsigned long long)n * (unsigned long long)p + (unsigned)delta;
        if (delta < 0) {
          x = (unsigned long long)n * (unsigned long long)p - 1;
        }
        if (x >> 63) {
          continue;
        }
        long long multipliers[2] = {(long long)x, 1};
        struct engram_layout l = {sizeof l, 2, 8, 0, multipliers, primes, offsets, inverses};
        int window[2] = {1, 0};
        int negative[2] = {-1, 0};
        long long rows[8];
        long long rest = (long long)(x % (unsigned long long)p);
        engram_hash(tier, &l, window, 1, rows);
        expect(rows[0] == rest && rows[7] == rest, "hash edge", (long long)x);
        engram_hash(tier, &l, negative, 1, rows);
        rest = rest ? p - rest : 0;
        expect(rows[0] == rest && rows[7] == rest, "negative hash edge", (long long)x);
      }
    }
  }
}
