/* Stage hash: a thread per row id, over all layers. */
#ifndef ENGRAM_CUDA_HASH_CUH
#define ENGRAM_CUDA_HASH_CUH

#include "device.cuh"

__global__ void engram_hash_kernel(struct engram_cuda_layouts layouts, const int *windows,
                                   long long tokens, long long *row_ids) {
  const int columns = (layouts.max_ngram - 1) * layouts.heads;
  const long long all = layouts.layers * tokens * columns;
  const long long step = (long long)gridDim.x * blockDim.x;
  for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < all; i += step) {
    int column = (int)(i % columns);
    long long token = i / columns % tokens;
    int layer = (int)(i / columns / tokens);
    const long long *multipliers = layouts.multipliers + (long long)layer * layouts.max_ngram;
    const int *window = windows + token * layouts.max_ngram;
    unsigned long long roll = 0; /* products wrap, as NumPy's do */
    for (int shift = 0; shift < column / layouts.heads + 2; shift++) {
      roll ^= (unsigned long long)window[shift] * (unsigned long long)multipliers[shift];
    }
    long long prime = layouts.primes[(long long)layer * columns + column];
    long long row = (long long)roll % prime;
    row += row < 0 ? prime : 0; /* floor-mod, as NumPy has it */
    row_ids[i] = row + layouts.offsets[(long long)layer * columns + column];
  }
}

#endif
