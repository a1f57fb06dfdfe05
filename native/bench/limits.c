/*
 * What the benchmarks of java/bench measure the kernels against: the least that any program does
 * with the same memory, and what a user would write first. A library of its own, built only for
 * benchmarks.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#define API __attribute__((visibility("default")))
#define AHEAD 16
#define WINDOW 4
#define HEADS 8

/* Anonymous memory in huge pages, or in ordinary ones even where those are the default. */
API void *limit_pages(long long bytes, int huge) {
  void *memory =
      mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    return NULL;
  }
  madvise(memory, (size_t)bytes, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
  return memory;
}

API void limit_free(void *memory, long long bytes) {
  munmap(memory, (size_t)bytes);
}

/* Packed fp8 rows: random codes without NaN, scales as published models have them. */
API void limit_fill(unsigned char *data, long long rows, int head_dim, unsigned long long seed) {
  int scales = head_dim / 32;
  for (long long row = 0; row < rows; row++) {
    for (int at = 0; at < head_dim + scales; at += 8) {
      seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
      unsigned long long word = (seed ^ seed >> 29) & 0xefefefefefefefefULL;
      if (at >= head_dim) {
        word = (word & 0x0707070707070707ULL) | 0x7070707070707070ULL; /* 2^-15 to 2^-8 */
      }
      int some = head_dim + scales - at < 8 ? head_dim + scales - at : 8;
      memcpy(data, &word, (size_t)some);
      data += some;
    }
  }
}

/* Reads every byte of the rows, fetched ahead. */
API unsigned long long limit_touch(const unsigned char *table, int row_bytes, const long long *ids,
                                   long long count) {
  unsigned long long sum = 0;
  for (long long i = 0; i < count; i++) {
    const unsigned char *ahead = table + ids[i + AHEAD < count ? i + AHEAD : i] * row_bytes;
    for (int line = 0; line < row_bytes; line += 64) {
      __builtin_prefetch(ahead + line);
    }
    __builtin_prefetch(ahead + row_bytes - 1);
    const unsigned char *row = table + ids[i] * row_bytes;
    for (int at = 0; at + 8 <= row_bytes; at += 8) {
      unsigned long long word;
      memcpy(&word, row + at, sizeof word);
      sum ^= word;
    }
  }
  return sum;
}

/* The hash of V4.1 by one division a column. */
API void limit_divide(const int *windows, const long long *multipliers, const long long *primes,
                      const long long *offsets, long long tokens, long long *ids) {
  for (long long token = 0; token < tokens; token++) {
    const int *window = windows + WINDOW * token;
    long long roll = window[0] * multipliers[0];
    for (int shift = 1; shift < WINDOW; shift++) {
      roll ^= window[shift] * multipliers[shift];
      for (int head = 0; head < HEADS; head++) {
        int column = HEADS * (shift - 1) + head;
        long long rest = roll % primes[column];
        *ids++ = rest + (rest < 0 ? primes[column] : 0) + offsets[column];
      }
    }
  }
}

/* Eight sums: as fast as memory gives, whatever the compiler makes of it. */
API unsigned long long limit_read(const unsigned long long *data, long long bytes) {
  unsigned long long sums[8] = {0};
  for (long long i = 0; i + 8 <= bytes / 8; i += 8) {
    for (int k = 0; k < 8; k++) {
      sums[k] ^= data[i + k];
    }
  }
  return sums[0] ^ sums[1] ^ sums[2] ^ sums[3] ^ sums[4] ^ sums[5] ^ sums[6] ^ sums[7];
}

API void limit_copy(void *to, const void *from, long long bytes) {
  memcpy(to, from, (size_t)bytes);
}

/* What a call costs that does nothing. */
API int limit_nothing(const void *a, const void *b, long long c, void *d, void *e, int f) {
  return a == b && d == e && c == f;
}
