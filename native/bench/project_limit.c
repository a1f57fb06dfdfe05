/*
 * The stage project at V4.1's width, 25600 x 6144 in fp8, beside its limit for one token, reading
 * the weights once; every tier, on one thread and on two, all in turns. Argument: rounds (15).
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "../include/engram.h"

#define OUTPUTS 25600
#define INPUTS 6144
#define BYTES ((size_t)OUTPUTS * INPUTS)
#define MOST_TOKENS 64
#define MOST_ROUNDS 99
#define READ (-1)

static struct engram_linear linear = {
    sizeof linear, ENGRAM_F8_E4M3, OUTPUTS, INPUTS, NULL, NULL, NULL, INPUTS, INPUTS / 32, 0, 0};
static float *in;
static float *out;

struct part {
  int tier;
  int tokens;
  int threads;
  int index;
  unsigned long long sink;
};

/* Eight sums: as fast as memory gives, whatever the compiler makes of it. */
static unsigned long long read_part(const struct part *part) {
  size_t count = BYTES / 8 / (size_t)part->threads;
  const unsigned long long *data = linear.weight;
  data += count * (size_t)part->index;
  unsigned long long sums[8] = {0};
  for (size_t i = 0; i + 8 <= count; i += 8) {
    for (int k = 0; k < 8; k++) {
      sums[k] ^= data[i + (size_t)k];
    }
  }
  return sums[0] ^ sums[1] ^ sums[2] ^ sums[3] ^ sums[4] ^ sums[5] ^ sums[6] ^ sums[7];
}

static void *work(void *argument) {
  struct part *part = argument;
  int step = OUTPUTS / part->threads;
  if (part->tier == READ) {
    part->sink = read_part(part);
  } else if (engram_project(part->tier, &linear, in, part->tokens, step * part->index, step,
                            out + step * part->index, OUTPUTS) != ENGRAM_OK) {
    abort();
  }
  return NULL;
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

/* Returns milliseconds a token. */
static double timed(int tier, int tokens, int threads) {
  struct part parts[2] = {{tier, tokens, threads, 0, 0}, {tier, tokens, threads, 1, 0}};
  pthread_t other;
  double start = now();
  if (threads == 2 && pthread_create(&other, NULL, work, &parts[1]) != 0) {
    abort();
  }
  work(&parts[0]);
  if (threads == 2) {
    pthread_join(other, NULL);
  }
  double taken = now() - start;
  return parts[0].sink + parts[1].sink == 1 ? 0 : taken / tokens; /* the sums are looked at */
}

static int compare(const void *a, const void *b) {
  double x = *(const double *)a;
  double y = *(const double *)b;
  return (x > y) - (x < y);
}

static void *huge(size_t bytes) {
  size_t page = 2u << 20;
  void *memory = aligned_alloc(page, (bytes + page - 1) / page * page);
  if (!memory) {
    abort();
  }
  madvise(memory, bytes, MADV_HUGEPAGE);
  return memory;
}

static void fill(void) {
  unsigned char *weight = huge(BYTES);
  unsigned state = 1;
  for (size_t i = 0; i < BYTES; i++) {
    state = state * 1664525 + 1013904223;
    weight[i] = (unsigned char)(state >> 24) & 0xef; /* no NaN */
  }
  unsigned char *scale = huge(BYTES / 1024);
  memset(scale, 113, BYTES / 1024);
  linear.weight = weight;
  linear.scale = scale;
  in = huge(sizeof(float) * MOST_TOKENS * INPUTS);
  out = huge(sizeof(float) * MOST_TOKENS * OUTPUTS);
  for (int i = 0; i < MOST_TOKENS * INPUTS; i++) {
    state = state * 1664525 + 1013904223;
    in[i] = (float)(int)state / 1e9f;
  }
}

static void show(const char *name, int threads, double *millis, const double *limit, int rounds) {
  double ratios[MOST_ROUNDS];
  for (int i = 0; i < rounds; i++) {
    ratios[i] = limit[i] / millis[i];
  }
  qsort(ratios, (size_t)rounds, sizeof *ratios, compare);
  qsort(millis, (size_t)rounds, sizeof *millis, compare);
  printf("%-28s %d  %8.2f %8.2f %8.2f %10.2f\n", name, threads, millis[rounds / 2], millis[0],
         millis[rounds - 1], ratios[rounds / 2]);
}

int main(int count, char **arguments) {
  static const char *const names[] = {"scalar", "avx2", "avx512", "neon"};
  static const int batches[] = {1, 2, 4, 8, 64};
  static double reading[2][MOST_ROUNDS];
  static double millis[4][5][2][MOST_ROUNDS];
  int rounds = count > 1 ? atoi(arguments[1]) : 15;
  rounds = rounds < 1 ? 1 : rounds > MOST_ROUNDS ? MOST_ROUNDS : rounds;
  fill();
  linear.nan_free = engram_nan_free(ENGRAM_TIER_SCALAR, &linear);
  for (int round = -1; round < rounds; round++) {
    int at = round < 0 ? 0 : round; /* the first one is overwritten */
    for (int threads = 1; threads <= 2; threads++) {
      reading[threads - 1][at] = timed(READ, 1, threads);
      for (int tier = ENGRAM_TIER_AVX2; tier <= ENGRAM_TIER_NEON; tier++) {
        for (int batch = 0; batch < 5 && !engram_tier_problem(tier); batch++) {
          millis[tier][batch][threads - 1][at] = timed(tier, batches[batch], threads);
        }
      }
    }
  }
  printf("%-28s %s %8s %8s %8s %10s\n", "", "threads", "ms/token", "min", "max", "read/this");
  for (int threads = 1; threads <= 2; threads++) {
    double limit[MOST_ROUNDS];
    memcpy(limit, reading[threads - 1], sizeof limit);
    for (int tier = ENGRAM_TIER_AVX2; tier <= ENGRAM_TIER_NEON; tier++) {
      for (int batch = 0; batch < 5 && !engram_tier_problem(tier); batch++) {
        char name[64];
        snprintf(name, sizeof name, "project, %s, %d tokens", names[tier], batches[batch]);
        show(name, threads, millis[tier][batch][threads - 1], limit, rounds);
      }
    }
    show("read the weights", threads, reading[threads - 1], limit, rounds);
  }
  return 0;
}
