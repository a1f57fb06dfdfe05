/* Memory for the cases on a card: pinned, so that both sides read it; compute-sanitizer watches its
 * ends. Instead of guarded.c. */
#include <stdio.h>
#include <stdlib.h>

#include "../../test/harness.h"
#include "../include/engram_cuda.h"

static void *buffers[64];
static int used;

void *guarded(size_t bytes) {
  if (used == 64 ||
      engram_cuda_allocate_host(0, bytes > 0 ? (long long)bytes : 1, &buffers[used]) != ENGRAM_OK) {
    fprintf(stderr, "pinned memory: %s\n", engram_cuda_detail());
    exit(2);
  }
  return buffers[used++];
}

void release(void) {
  while (used > 0) {
    if (engram_cuda_free_host(0, buffers[--used]) != ENGRAM_OK) {
      fprintf(stderr, "pinned memory: %s\n", engram_cuda_detail());
      exit(2);
    }
  }
}

void report(const char *what, long long at) {
  fprintf(stderr, "FAILED: %s at %lld\n", what, at);
}
