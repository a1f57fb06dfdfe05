/*
 * Runs the cases of every tier that this machine has, with each buffer flush against an unreadable
 * page, behind or before.
 * Arguments: cases for each tier, row ids and rows in mass, seed (0: from the clock), where this
 * runs, the file to which tiers and cases are added.
 */
#define _DEFAULT_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "harness.h"

#if defined(_WIN32)
#include <windows.h>
#else
#include <sys/mman.h>
#include <unistd.h>
#endif

static struct {
  char *map;
  size_t length;
} buffers[64];
static int used;

#if defined(_WIN32)
static size_t page_size(void) {
  SYSTEM_INFO info;
  GetSystemInfo(&info);
  return info.dwPageSize;
}

static char *unreadable(size_t bytes) {
  return VirtualAlloc(NULL, bytes, MEM_RESERVE, PAGE_NOACCESS);
}

static int open_pages(char *from, size_t bytes) {
  return VirtualAlloc(from, bytes, MEM_COMMIT, PAGE_READWRITE) != NULL;
}

static void give_back(char *map, size_t bytes) {
  (void)bytes;
  VirtualFree(map, 0, MEM_RELEASE);
}
#else
static size_t page_size(void) {
  return (size_t)sysconf(_SC_PAGESIZE);
}

static char *unreadable(size_t bytes) {
  char *map = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return map == MAP_FAILED ? NULL : map;
}

static int open_pages(char *from, size_t bytes) {
  return mprotect(from, bytes, PROT_READ | PROT_WRITE) == 0;
}

static void give_back(char *map, size_t bytes) {
  munmap(map, bytes);
}
#endif

void *guarded(size_t bytes) {
  size_t page = page_size();
  size_t inner = (bytes + page - 1) / page * page + (bytes == 0 ? page : 0);
  char *map = used == 64 ? NULL : unreadable(inner + 2 * page);
  if (!map || !open_pages(map + page, inner)) {
    perror("guarded");
    exit(2);
  }
  buffers[used].map = map;
  buffers[used++].length = inner + 2 * page;
  return map + page + (next() & 1 ? 0 : inner - bytes);
}

void release(void) {
  while (used > 0) {
    used--;
    give_back(buffers[used].map, buffers[used].length);
  }
}

void report(const char *what, long long at) {
  fprintf(stderr, "FAILED: %s at %lld\n", what, at);
}

int main(int argc, char **argv) {
  long long cases = argc > 1 ? atoll(argv[1]) : 20000;
  long long mass = argc > 2 ? atoll(argv[2]) : 2000000;
  unsigned long long seed = argc > 3 ? strtoull(argv[3], NULL, 10) : 1;
  const char *where = argc > 4 ? argv[4] : "natively";
  FILE *reports = argc > 5 ? fopen(argv[5], "a") : NULL;
  random_state =
      seed ? seed : (seed = (unsigned long long)time(NULL) * 1000003 + (unsigned long long)clock());
  printf("built by %s, seed %llu\n", engram_build_info(), seed);
  for (int tier = 0; tier < TIERS; tier++) {
    const char *problem = engram_tier_problem(tier);
    if (problem) {
      printf("tier %s not executed: %s\n", tier_name(tier), problem);
      continue;
    }
    long long before = checked;
    run_tier(tier, cases, mass);
    printf("tier %s executed %s: %lld comparisons\n", tier_name(tier), where, checked - before);
    if (reports) {
      fprintf(reports, "C tests of tier %s %s, seed %llu, comparisons: %lld\n", tier_name(tier),
              where, seed, checked - before);
    }
  }
  if (reports && fclose(reports) != 0) {
    perror(argv[5]);
    return 2;
  }
  printf("%lld comparisons passed, %d failed\n", checked - failures, failures);
  return failures == 0 && checked > 0 ? 0 : 1;
}
