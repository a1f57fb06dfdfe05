/* What a gather must do at least: read the rows, and nothing else. */
#include "touch.h"

#include "../src/device.cuh"
#include "../src/status.cuh"

__global__ void touch_kernel(struct engram_table table, const long long *row_ids, long long count,
                             unsigned long long *out) {
  const int lane = threadIdx.x % ENGRAM_WARP;
  const long long warps = (long long)gridDim.x * ENGRAM_WARPS;
  const long long first = (long long)blockIdx.x * ENGRAM_WARPS + threadIdx.x / ENGRAM_WARP;
  unsigned long long seen = 0;
  for (long long i = first; i < count; i += warps) {
    const unsigned char *row =
        (const unsigned char *)table.weight + row_ids[i] * table.weight_stride;
    for (int k = 8 * lane; k + 8 <= table.weight_stride; k += 8 * ENGRAM_WARP) {
      seen ^= *(const unsigned long long *)(row + k);
    }
  }
  if (seen == 0x123456789abcdefULL) { /* so that nothing is left out */
    out[0] = seen;
  }
}

int engram_cuda_touch(const struct engram_cuda_queue *on, const struct engram_table *table,
                      const long long *row_ids, long long count, unsigned long long *out) {
  int status = engram_enter_queue(on);
  if (status != ENGRAM_OK) {
    return status;
  }
  long long wanted = (count + ENGRAM_WARPS - 1) / ENGRAM_WARPS;
#if defined(__CUDACC__)
  touch_kernel<<<(unsigned)(wanted < 4096 ? wanted : 4096), ENGRAM_THREADS, 0,
                 (cudaStream_t)on->stream>>>(*table, row_ids, count, out);
#else
  fiber_queue(true, on->stream, (unsigned)(wanted < 4096 ? wanted : 4096), ENGRAM_THREADS,
              touch_kernel, *table, row_ids, count, out);
#endif
  return engram_cuda_status(cudaGetLastError(), "launching touch");
}
