/*
 * Rows that are wanted often, in the device's memory: sets of a few slots each, found by a row id's
 * hash. A gather only reads, so it needs no locks; inserting claims a slot by its tag.
 */
#ifndef ENGRAM_CUDA_CACHE_CUH
#define ENGRAM_CUDA_CACHE_CUH

#include "device.cuh"

#include "../../src/row_types.h"

#define ENGRAM_CACHE_EMPTY (-1LL)
/* Bits of a tag beside its row. */
#define ENGRAM_CACHE_STAYS (1LL << 62)
#define ENGRAM_CACHE_FRESH (1LL << 61) /* somebody is writing the row */
#define ENGRAM_CACHE_ROW (ENGRAM_CACHE_FRESH - 1)

__device__ inline unsigned long long engram_mixed(long long row) {
  unsigned long long x = (unsigned long long)row * 0x9e3779b97f4a7c15ULL;
  return x ^ x >> 32;
}

__device__ inline long long engram_first_slot(const struct engram_cuda_cache &cache,
                                              long long row) {
  return (long long)(engram_mixed(row) & (unsigned long long)(cache.sets - 1)) * cache.ways;
}

__device__ inline bool engram_holds(long long tag, long long row) {
  return tag >= 0 && (tag & ENGRAM_CACHE_ROW) == row;
}

/* The slot with a row, or -1. All lanes read the same few tags, which is one transaction each. */
__device__ inline long long engram_find_slot(const struct engram_cuda_cache &cache, long long row) {
  long long slot = engram_first_slot(cache, row);
  for (int way = 0; way < cache.ways; way++) {
    if (engram_holds(cache.tags[slot + way], row)) {
      return slot + way;
    }
  }
  return -1;
}

/* Another slot than one's own with a row, or -1; while rows are inserted, when tags change. */
__device__ inline long long engram_find_other(const struct engram_cuda_cache &cache, long long row,
                                              long long mine) {
  long long first = engram_first_slot(cache, row);
  for (long long slot = first; slot < first + cache.ways; slot++) {
    const volatile long long *tag = &cache.tags[slot];
    if (slot != mine && engram_holds(*tag, row)) {
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
__device__ inline long long engram_claim_slot(const struct engram_cuda_cache &cache, long long row,
                                              bool stay) {
  if (engram_find_other(cache, row, -1) >= 0) {
    return -1;
  }
  long long first = engram_first_slot(cache, row);
  unsigned start = (unsigned)(engram_mixed(row) >> 40);
  for (int turn = 0; turn < (stay ? cache.ways : 2 * cache.ways); turn++) {
    bool replace = turn >= cache.ways; /* first what is empty */
    long long slot = first + (start + turn) % cache.ways;
    unsigned long long *tag = (unsigned long long *)&cache.tags[slot];
    long long old = *(volatile long long *)tag;
    bool free = replace ? old >= 0 && !(old & (ENGRAM_CACHE_STAYS | ENGRAM_CACHE_FRESH))
                        : old == ENGRAM_CACHE_EMPTY;
    if (free && !engram_holds(old, row)) {
      long long was = (long long)atomicCAS(tag, (unsigned long long)old,
                                           (unsigned long long)(row | ENGRAM_CACHE_FRESH));
      if (was == old) {
        __threadfence();
        if (engram_find_other(cache, row, slot) < 0) {
          return slot;
        }
        *(volatile long long *)tag = ENGRAM_CACHE_EMPTY;
        return -1;
      }
      old = was;
    }
    if (engram_holds(old, row)) {
      return -1;
    }
  }
  return -1;
}

/* A warp per row. */
__global__ void engram_insert_kernel(struct engram_table table, struct engram_cuda_cache cache,
                                     int row_bytes, int scales, int biases,
                                     const long long *row_ids, long long count, int stay) {
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
      slot = engram_claim_slot(cache, row, stay != 0);
    }
    slot = __shfl_sync(0xffffffffu, slot, 0);
    if (slot >= 0) {
      const struct engram_row from = engram_row_at(&table, row);
      unsigned char *to = (unsigned char *)cache.rows + slot * cache.row_stride;
      for (int k = lane; k < row_bytes; k += ENGRAM_WARP) {
        to[k] = from.weight[k];
      }
      for (int k = lane; k < scales; k += ENGRAM_WARP) {
        to[row_bytes + k] = from.scale[k];
      }
      for (int k = lane; k < biases; k += ENGRAM_WARP) {
        to[row_bytes + scales + k] = from.bias[k];
      }
    }
    __threadfence();
    __syncwarp();
    if (lane == 0 && slot >= 0) {
      cache.tags[slot] = stay ? row | ENGRAM_CACHE_STAYS : row;
    }
    __syncwarp();
  }
}

#endif
