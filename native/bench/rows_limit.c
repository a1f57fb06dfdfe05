/*
 * The stages hash and gather beside their limits: gathering random rows of a table of 8.45 GB
 * against touching every byte of the same rows, in huge and in ordinary pages; hashing against one
 * division per column. Every tier, one thread, in turns. Arguments: rounds (9), millions of rows
 * (32).
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "../include/engram.h"

#define HEAD_DIM 256
#define ROW (HEAD_DIM + HEAD_DIM / 32)
#define TOKEN_ROWS 24
#define TOKENS 512
#define AHEAD 16
#define MOST_ROUNDS 99
#define TIERS 4

static volatile unsigned long long sink;

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static unsigned long long next(unsigned long long *state) {
  *state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
  return *state >> 11;
}

static int compare(const void *a, const void *b) {
  double x = *(const double *)a;
  double y = *(const double *)b;
  return (x > y) - (x < y);
}

static void *pages(size_t bytes, int advice) {
  void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    abort();
  }
  madvise(memory, bytes, advice);
  return memory;
}

/* Prints a median, and the median of what the limit takes of it. */
static void show(const char *name, double *nanos, const double *limit, int rounds) {
  double ratios[MOST_ROUNDS];
  for (int i = 0; i < rounds; i++) {
    ratios[i] = limit[i] / nanos[i];
  }
  qsort(ratios, (size_t)rounds, sizeof *ratios, compare);
  qsort(nanos, (size_t)rounds, sizeof *nanos, compare);
  printf("%-40s %8.2f %8.2f %8.2f %10.2f\n", name, nanos[rounds / 2], nanos[0], nanos[rounds - 1],
         ratios[rounds / 2]);
}

static void touch(const unsigned char *table, const long long *ids, int count) {
  unsigned long long sum = 0;
  for (int i = 0; i < count; i++) {
    const unsigned char *ahead = table + ids[i + AHEAD < count ? i + AHEAD : i] * ROW;
    for (int line = 0; line < ROW; line += 64) {
      __builtin_prefetch(ahead + line);
    }
    __builtin_prefetch(ahead + ROW - 1);
    for (int at = 0; at < ROW; at += 8) {
      unsigned long long word;
      memcpy(&word, table + ids[i] * ROW + at, sizeof word);
      sum ^= word;
    }
  }
  sink ^= sum;
}

static void gather(long long rows, int advice, const char *name, int rounds) {
  static double touching[MOST_ROUNDS];
  static double millis[TIERS][2][MOST_ROUNDS];
  const char *const tiers[] = {"scalar", "avx2", "avx512", "neon"};
  size_t bytes = (size_t)rows * ROW;
  unsigned char *data = pages(bytes, advice);
  unsigned long long state = 7;
  for (size_t i = 0; i + 8 <= bytes; i += 8) {
    unsigned long long word = next(&state) & 0x6f6f6f6f6f6f6f6fULL; /* no NaN */
    memcpy(data + i, &word, sizeof word);
  }
  struct engram_table table = {sizeof table, ENGRAM_F8_E4M3,  HEAD_DIM, 0,  rows,
                               data,         data + HEAD_DIM, ROW,      ROW};
  int count = TOKENS * TOKEN_ROWS;
  long long *ids = pages(sizeof *ids * (size_t)count, MADV_HUGEPAGE);
  float *out = pages(sizeof *out * (size_t)count * HEAD_DIM, MADV_HUGEPAGE);
  for (int round = -1; round < rounds; round++) {
    int at = round < 0 ? 0 : round;
    for (int tier = -1; tier < TIERS; tier++) {
      for (int whole = 0; whole < 2; whole++) {
        if (tier >= 0 && engram_tier_problem(tier)) {
          continue;
        }
        for (int i = 0; i < count; i++) { /* others each time */
          ids[i] = (long long)(next(&state) % (unsigned long long)rows);
        }
        double start = now();
        if (tier < 0) {
          touch(data, ids, count);
          touching[at] = (now() - start) / count;
          continue;
        }
        int step = whole ? count : TOKEN_ROWS;
        for (int i = 0; i < count; i += step) { /* to the same place, as a batch has it */
          if (engram_gather(tier, &table, ids + i, step, out, ENGRAM_F32) != ENGRAM_OK) {
            abort();
          }
        }
        millis[tier][whole][at] = (now() - start) / count;
      }
    }
  }
  double limit[MOST_ROUNDS];
  memcpy(limit, touching, sizeof limit);
  char text[80];
  for (int tier = 0; tier < TIERS; tier++) {
    for (int whole = 0; whole < 2 && !engram_tier_problem(tier); whole++) {
      snprintf(text, sizeof text, "gather, %s, %s, %d tokens", name, tiers[tier],
               whole ? TOKENS : 1);
      show(text, millis[tier][whole], limit, rounds);
    }
  }
  snprintf(text, sizeof text, "touch, %s", name);
  show(text, touching, limit, rounds);
  munmap(data, bytes);
}

/* Nanoseconds a column, 24 columns of primes near 16 million. */
static void hash(int rounds) {
  static double dividing[MOST_ROUNDS];
  static double nanos[TIERS][MOST_ROUNDS];
  const char *const tiers[] = {"scalar", "avx2", "avx512", "neon"};
  long long multipliers[4];
  long long primes[TOKEN_ROWS];
  long long offsets[TOKEN_ROWS];
  double inverses[TOKEN_ROWS];
  unsigned long long state = 3;
  for (int i = 0; i < 4; i++) {
    multipliers[i] = (long long)(next(&state) >> 9) * 2 + 1;
  }
  for (int i = 0; i < TOKEN_ROWS; i++) {
    primes[i] = 16000057 + 2 * i; /* odd is enough here */
    offsets[i] = i * 16000000LL;
    inverses[i] = 1.0 / (double)primes[i];
  }
  struct engram_layout layout = {sizeof layout, 4, 8, 0, multipliers, primes, offsets, inverses};
  static int windows[TOKENS * 4];
  static long long ids[TOKENS * TOKEN_ROWS];
  int columns = TOKENS * TOKEN_ROWS;
  for (int round = -1; round < rounds; round++) {
    int at = round < 0 ? 0 : round;
    for (int i = 0; i < TOKENS * 4; i++) {
      windows[i] = (int)(next(&state) % 99092);
    }
    double start = now();
    for (int token = 0; token < TOKENS; token++) {
      long long roll = windows[4 * token] * multipliers[0];
      for (int shift = 1; shift < 4; shift++) {
        roll ^= windows[4 * token + shift] * multipliers[shift];
        for (int head = 0; head < 8; head++) {
          int column = 8 * (shift - 1) + head;
          long long rest = roll % primes[column];
          ids[token * TOKEN_ROWS + column] =
              rest + (rest < 0 ? primes[column] : 0) + offsets[column];
        }
      }
    }
    dividing[at] = (now() - start) / columns;
    sink ^= (unsigned long long)ids[columns - 1];
    for (int tier = 0; tier < TIERS; tier++) {
      if (!engram_tier_problem(tier)) {
        start = now();
        if (engram_hash(tier, &layout, windows, TOKENS, ids) != ENGRAM_OK) {
          abort();
        }
        nanos[tier][at] = (now() - start) / columns;
      }
    }
  }
  double limit[MOST_ROUNDS];
  memcpy(limit, dividing, sizeof limit);
  for (int tier = 0; tier < TIERS; tier++) {
    if (!engram_tier_problem(tier)) {
      char text[80];
      snprintf(text, sizeof text, "hash, %s, %d tokens", tiers[tier], TOKENS);
      show(text, nanos[tier], limit, rounds);
    }
  }
  show("a division per column", dividing, limit, rounds);
}

int main(int count, char **arguments) {
  int rounds = count > 1 ? atoi(arguments[1]) : 9;
  long long rows = 1000000LL * (count > 2 ? atoi(arguments[2]) : 32);
  rounds = rounds < 1 ? 1 : rounds > MOST_ROUNDS ? MOST_ROUNDS : rounds;
  printf("%-40s %8s %8s %8s %10s\n", "", "ns", "min", "max", "limit/this");
  hash(rounds);
  gather(rows, MADV_HUGEPAGE, "huge pages", rounds);
  gather(rows, MADV_NOHUGEPAGE, "4 KiB pages", rounds);
  return 0;
}
