/*
 * Rows that are wanted often, in the device's memory: sets of a few slots each, found by a row id's
 * hash. A gather only reads, so it needs no locks; inserting claims a slot by its tag.
 */
#ifndef ENGRAM_CUDA_CACHE_H
#define ENGRAM_CUDA_CACHE_H

#include "device.h"

#define CACHE_EMPTY (-1LL)
/* Bits of a tag beside its row. */
#define CACHE_STAYS (1LL << 62)
#define CACHE_FRESH (1LL << 61) /* somebody is writing the row */
#define CACHE_ROW (CACHE_FRESH - 1)

__device__ inline unsigned long long mixed(long long row) {
  unsigned long long x = (unsigned long long)row * 0x9e3779b97f4a7c15ULL;
  return x ^ x >> 32;
}

__device__ inline long long first_slot(const struct engram_cuda_cache &cache, long long row) {
  return (long long)(mixed(row) & (unsigned long long)(cache.sets - 1)) * cache.ways;
}

__device__ inline bool holds(long long tag, long long row) {
  return tag >= 0 && (tag & CACHE_ROW) == row;
}

/* The slot with a row, or -1. All lanes read the same few tags, which is one transaction each. */
__device__ inline long long find_slot(const struct engram_cuda_cache &cache, long long row) {
  long long slot = first_slot(cache, row);
  for (int way = 0; way < cache.ways; way++) {
    if (holds(cache.tags[slot + way], row)) {
      return slot + way;
    }
  }
  return -1;
}

/* Another slot than one's own with a row, or -1; while rows are inserted, when tags change. */
__device__ inline long long find_other(const struct engram_cuda_cache &cache, long long row,
                                       long long mine) {
  long long first = first_slot(cache, row);
  for (long long slot = first; slot < first + cache.ways; slot++) {
    const volatile long long *tag = &cache.tags[slot];
    if (slot != mine && holds(*tag, row)) {
      return slot;
    }
  }
  return -1;
}

/*
 * A slot that nobody else writes, or -1 if the row is there, or if nothing may be replaced. Of
 * warps that claim slots for one row at once each sees the other's, and one or both give theirs up:
 * a row is never held twice.
 */
__device__ inline long long claim_slot(const struct engram_cuda_cache &cache, long long row,
                                       bool stay) {
  if (find_other(cache, row, -1) >= 0) {
    return -1;
  }
  long long first = first_slot(cache, row);
  unsigned start = (unsigned)(mixed(row) >> 40);
  for (int turn = 0; turn < (stay ? cache.ways : 2 * cache.ways); turn++) {
    bool replace = turn >= cache.ways; /* first what is empty */
    long long slot = first + (start + turn) % cache.ways;
    unsigned long long *tag = (unsigned long long *)&cache.tags[slot];
    long long old = *(volatile long long *)tag;
    bool free = replace ? old >= 0 && !(old & (CACHE_STAYS | CACHE_FRESH)) : old == CACHE_EMPTY;
    if (free && !holds(old, row)) {
      long long was = (long long)atomicCAS(tag, (unsigned long long)old,
                                           (unsigned long long)(row | CACHE_FRESH));
      if (was == old) {
        __threadfence();
        if (find_other(cache, row, slot) < 0) {
          return slot;
        }
        *(volatile long long *)tag = CACHE_EMPTY;
        return -1;
      }
      old = was;
    }
    if (holds(old, row)) {
      return -1;
    }
  }
  return -1;
}

/* A warp per row. */
__global__ void insert_kernel(struct engram_table table, struct engram_cuda_cache cache,
                              int row_bytes, int scales, const long long *row_ids, long long count,
                              int stay) {
  const int lane = threadIdx.x % ENGRAM_WARP;
  const long long warps = (long long)gridDim.x * ENGRAM_WARPS;
  const long long first = (long long)blockIdx.x * ENGRAM_WARPS + threadIdx.x / ENGRAM_WARP;
  const long long rounds = (count + warps - 1) / warps; /* the same for all, as for barriers */
  for (long long round = 0; round < rounds; round++) {
    long long i = first + round * warps;
    long long row = i < count ? row_ids[i] : -1;
    bool valid = row >= 0 && row < table.rows;
    long long slot = -1;
    if (lane == 0 && valid) {
      slot = claim_slot(cache, row, stay != 0);
    }
    slot = __shfl_sync(0xffffffffu, slot, 0);
    if (slot >= 0) {
      const unsigned char *weight = (const unsigned char *)table.weight + row * table.weight_stride;
      const unsigned char *scale = (const unsigned char *)table.scale + row * table.scale_stride;
      unsigned char *to = (unsigned char *)cache.rows + slot * cache.row_stride;
      for (int k = lane; k < row_bytes; k += ENGRAM_WARP) {
        to[k] = weight[k];
      }
      for (int k = lane; k < scales; k += ENGRAM_WARP) {
        to[row_bytes + k] = scale[k];
      }
    }
    __threadfence();
    __syncwarp();
    if (lane == 0 && slot >= 0) {
      cache.tags[slot] = stay ? row | CACHE_STAYS : row;
    }
    __syncwarp();
  }
}

#endif
