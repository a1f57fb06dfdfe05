/* On a card alone: a wrong device pointer ends in a status, and so does every call after it. */
#include <stdio.h>
#include <string.h>

#include "../include/engram_cuda.h"

int main(void) {
  struct engram_cuda_queue on = {sizeof on, 0, NULL, 0, 0};
  char *wrong = (char *)(1ULL << 46); /* nobody's */
  long long *ids = NULL;
  if (engram_cuda_allocate(0, 8, (void **)&ids) != ENGRAM_OK ||
      engram_cuda_fill(&on, ids, 0, 8) != ENGRAM_OK) {
    fprintf(stderr, "%s\n", engram_cuda_detail());
    return 2;
  }
  struct engram_table table = {.struct_size = sizeof table,
                               .type = ENGRAM_F32,
                               .head_dim = 256,
                               .factor = 1,
                               .rows = 10,
                               .weight = wrong,
                               .weight_stride = 1024};
  int status = engram_cuda_gather(&on, &table, NULL, ids, 1, wrong + (1 << 20), ENGRAM_F32, NULL);
  int after = engram_cuda_synchronize(0, NULL);
  printf("gather of a wrong address: %d, then waiting for it: %d, %s\n", status, after,
         engram_cuda_detail());
  int told = after == ENGRAM_CUDA_ERROR_CUDA && strlen(engram_cuda_detail()) > 0;
  int later = engram_cuda_fill(&on, ids, 0, 8);
  printf("a call after it: %d, %s\n", later, engram_cuda_detail());
  return told && later == ENGRAM_CUDA_ERROR_CUDA ? 0 : 1;
}
