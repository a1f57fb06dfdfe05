/* What the cases of the CUDA kernels share. */
#ifndef ENGRAM_CUDA_CASES_H
#define ENGRAM_CUDA_CASES_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../test/harness.h"
#include "../include/engram_cuda.h"

/* Ends the test if a call failed. */
static inline void ok(int status, const char *what) {
  if (status != ENGRAM_OK) {
    fprintf(stderr, "%s: %s, %s\n", what, engram_cuda_status_text(status), engram_cuda_detail());
    exit(2);
  }
}

/* The default stream, with some limit on blocks, which must change nothing. */
static inline struct engram_cuda_queue some_queue(void) {
  struct engram_cuda_queue on = {sizeof on, 0, NULL, (int)below(3), 0};
  return on;
}

static inline void finish(const char *what) {
  ok(engram_cuda_synchronize(0, NULL), what);
}

/* Of rows and their cache: gather, copy of rows, insertion. */
void rows_on_device(void);
void cache_on_device(void);

#endif
