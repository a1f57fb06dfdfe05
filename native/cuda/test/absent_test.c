/* The library that nvcc built: without a driver it loads, and says that there is none and why. */
#include <stdio.h>
#include <string.h>

#include "../include/engram_cuda.h"

int main(void) {
  int count = -1;
  int status = engram_cuda_devices(&count);
  if (status == ENGRAM_OK) {
    printf("cuda: %d devices\n", count);
    return count > 0 ? 0 : 1;
  }
  printf("cuda: not available: %s\n", engram_cuda_detail());
  return status == ENGRAM_CUDA_ERROR_UNAVAILABLE && count == 0 && strlen(engram_cuda_detail()) > 0
             ? 0
             : 1;
}
