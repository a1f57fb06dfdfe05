/* Memory for the cases of a hosted machine: each buffer flush against an unreadable page. */
#define _DEFAULT_SOURCE
#include <stdio.h>
#include <stdlib.h>

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
} buffers[256];
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
  char *map = used == 256 ? NULL : unreadable(inner + 2 * page);
  if (!map || !open_pages(map + page, inner)) {
    perror("guarded");
    exit(2);
  }
  buffers[used].map = map;
  buffers[used++].length = inner + 2 * page;
  return map + page + (next() & 1 ? 0 : inner - bytes);
}

void *guarded_lines(size_t bytes) {
  if (bytes % 64 != 0) {
    fprintf(stderr, "guarded_lines: %zu bytes are no whole lines\n", bytes);
    exit(2);
  }
  return guarded(bytes);
}

void release(void) {
  while (used > 0) {
    used--;
    give_back(buffers[used].map, buffers[used].length);
  }
}

const char *running = "no tier";

void report(const char *what, long long at) {
  fprintf(stderr, "FAILED: %s at %lld, %s, comparison %lld\n", what, at, running, checked);
  if (failures >= MOST_FAILURES) {
    fprintf(stderr, "stopped after %d failures\n", failures);
    exit(1);
  }
}
