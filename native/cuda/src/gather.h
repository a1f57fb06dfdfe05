/*
 * Stage gather: a warp per row, so that the 256 codes of a row are one run of loads over the link
 * where the table lies in the host's memory.
 */
#ifndef ENGRAM_CUDA_GATHER_H
#define ENGRAM_CUDA_GATHER_H

#include "formats.h"

/* Codes that a lane takes at once: packed rows of 264 bytes are aligned to no more. */
#define LANE_CODES 8

__device__ inline float element(const struct engram_table &table, const unsigned char *weight,
                                const unsigned char *scale, int k) {
  switch (table.type) {
    case ENGRAM_F8_E4M3:
      return of_e4m3(weight[k]) * of_e8m0(scale[k / ENGRAM_BLOCK]);
    case ENGRAM_F32:
      return load32(weight + 4 * (long long)k);
    default:
      return load16(weight + 2 * (long long)k, table.type);
  }
}

__device__ inline void wide_row(const struct engram_table &table, const unsigned char *weight,
                                const unsigned char *scale, int lane, unsigned char *out,
                                long long to, int out_type) {
  for (int k = lane * LANE_CODES; k < table.head_dim; k += ENGRAM_WARP * LANE_CODES) {
    unsigned long long codes = *(const unsigned long long *)(weight + k);
    float factor = of_e8m0(scale[k / ENGRAM_BLOCK]);
    for (int i = 0; i < LANE_CODES; i++) {
      float value = of_e4m3((unsigned)(codes >> 8 * i) & 0xff) * factor;
      store(out, to + k + i, out_type, value);
    }
  }
}

__global__ void gather_kernel(struct engram_table table, int wide, const long long *row_ids,
                              long long count, unsigned char *out, int out_type, long long *bad) {
  const int lane = threadIdx.x % ENGRAM_WARP;
  const long long warps = (long long)gridDim.x * (blockDim.x / ENGRAM_WARP);
  long long first = (long long)blockIdx.x * (blockDim.x / ENGRAM_WARP) + threadIdx.x / ENGRAM_WARP;
  for (long long i = first; i < count; i += warps) {
    long long row = row_ids[i];
    long long to = i * table.head_dim;
    if (row < 0 || row >= table.rows) {
      if (row != -1 && bad != NULL && lane == 0) {
        *bad = i;
      }
      for (int k = lane; k < table.head_dim; k += ENGRAM_WARP) {
        store(out, to + k, out_type, 0);
      }
      continue;
    }
    const unsigned char *weight = (const unsigned char *)table.weight + row * table.weight_stride;
    const unsigned char *scale = (const unsigned char *)table.scale + row * table.scale_stride;
    if (wide) {
      wide_row(table, weight, scale, lane, out, to, out_type);
      continue;
    }
    for (int k = lane; k < table.head_dim; k += ENGRAM_WARP) {
      store(out, to + k, out_type, element(table, weight, scale, k));
    }
  }
}

#endif
