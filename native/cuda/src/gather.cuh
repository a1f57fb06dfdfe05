/*
 * Stage gather: a warp per row, so that the 256 codes of a row are one run of loads over the link
 * where the table lies in the host's memory.
 */
#ifndef ENGRAM_CUDA_GATHER_CUH
#define ENGRAM_CUDA_GATHER_CUH

#include "cache.cuh"
#include "formats.cuh"

/* Codes that a lane takes at once: packed rows of 264 bytes are aligned to no more. */
#define ENGRAM_LANE_CODES 8

/* Where lanes take eight codes, and write four numbers, at once. */
__device__ inline void engram_wide_row(int head_dim, struct engram_row row, int lane, void *out,
                                       long long to, int out_type) {
  for (int k = lane * ENGRAM_LANE_CODES; k < head_dim; k += ENGRAM_WARP * ENGRAM_LANE_CODES) {
    unsigned long long codes = *(const unsigned long long *)(row.weight + k);
    float factor = engram_e8m0(row.scale[k / ENGRAM_BLOCK]);
    for (int half = 0; half < ENGRAM_LANE_CODES; half += 4) {
      engram_four_floats values;
      for (int i = 0; i < 4; i++) {
        values.at[i] = engram_fast_e4m3((unsigned)(codes >> 8 * (half + i)) & 0xff) * factor;
      }
      engram_store4(out, out_type, to + k + half, values);
    }
  }
}

/* Any row: at once where an element can be loaded as it lies, else byte by byte. */
__device__ inline void engram_narrow_row(const struct engram_table &table, struct engram_row row,
                                         int lane, void *out, long long to, int out_type) {
  const bool plain = table.type == ENGRAM_F32 || table.type == ENGRAM_BF16;
  const bool direct = plain && engram_is_aligned(row.weight, 0, engram_out_bytes(table.type));
  for (int k = lane; k < table.head_dim; k += ENGRAM_WARP) {
    float value = direct ? engram_load(row.weight, table.type, k)
                         : engram_row_element(table.type, &row, table.factor, k);
    engram_store(out, out_type, to + k, value);
  }
}

__device__ inline bool engram_is_wide(int head_dim, const unsigned char *weight) {
  return head_dim % ENGRAM_LANE_CODES == 0 && (unsigned long long)weight % ENGRAM_LANE_CODES == 0;
}

/* Finds id i's row in the table, or tells that it is none of it. */
__device__ inline struct engram_row engram_place_of(const struct engram_table &table, long long row,
                                                    long long i, int lane, long long *bad) {
  struct engram_row place = {NULL, NULL, NULL}; /* a row of zeros */
  if (row >= 0 && row < table.rows) {
    place = engram_row_at(&table, row);
  } else if (row != -1 && bad != NULL && lane == 0) {
    *bad = i;
  }
  return place;
}

/* The same, in the cache if it is there; cache.ways is 0 without one. */
__device__ inline struct engram_row engram_cached_place(const struct engram_cuda_cache &cache,
                                                        const struct engram_table &table,
                                                        struct engram_row place, long long row,
                                                        int lane) {
  if (cache.ways == 0 || place.weight == NULL) {
    return place;
  }
  long long slot = engram_find_slot(cache, row);
  if (lane == 0) {
    atomicAdd((unsigned long long *)&cache.counts[slot >= 0 ? 0 : 1], 1ULL);
  }
  if (slot >= 0) {
    place.weight = (const unsigned char *)cache.rows + slot * cache.row_stride;
    place.scale = place.weight + engram_row_bytes(table.type, table.head_dim);
    place.bias = place.scale + engram_row_scale_bytes(table.type, table.head_dim);
  }
  return place;
}

__global__ void engram_gather_kernel(struct engram_table table, struct engram_cuda_cache cache,
                                     const long long *row_ids, long long count, void *out,
                                     int out_type, long long *bad) {
  const int lane = threadIdx.x % ENGRAM_WARP;
  const long long warps = (long long)gridDim.x * ENGRAM_WARPS;
  const long long first = (long long)blockIdx.x * ENGRAM_WARPS + threadIdx.x / ENGRAM_WARP;
  const bool wide_out = engram_is_aligned(out, 0, 4 * engram_out_bytes(out_type));
  for (long long i = first; i < count; i += warps) {
    long long row = row_ids[i];
    long long to = i * table.head_dim;
    struct engram_row place = engram_place_of(table, row, i, lane, bad);
    place = engram_cached_place(cache, table, place, row, lane);
    if (place.weight == NULL) {
      for (int k = lane; k < table.head_dim; k += ENGRAM_WARP) {
        engram_store(out, out_type, to + k, 0);
      }
    } else if (table.type == ENGRAM_F8_E4M3 && wide_out &&
               engram_is_wide(table.head_dim, place.weight)) {
      engram_wide_row(table.head_dim, place, lane, out, to, out_type);
    } else {
      engram_narrow_row(table, place, lane, out, to, out_type);
    }
  }
}

/* Where the scale of block `block` of token `token` goes among cuBLAS's tiles of 128 by 4. */
__device__ inline long long engram_tiled_scale(long long token, long long block, long long blocks) {
  long long tile = token / 128 * ((blocks + 3) / 4) + block / 4;
  return tile * 512 + token % 32 * 16 + token % 128 / 32 * 4 + block % 4;
}

__global__ void engram_copy_rows_kernel(struct engram_table table, const long long *row_ids,
                                        long long count, int columns, unsigned char *codes,
                                        unsigned char *scales, int scale_layout, long long *bad) {
  const int lane = threadIdx.x % ENGRAM_WARP;
  const int blocks = (table.head_dim + ENGRAM_BLOCK - 1) / ENGRAM_BLOCK;
  const long long warps = (long long)gridDim.x * ENGRAM_WARPS;
  const long long first = (long long)blockIdx.x * ENGRAM_WARPS + threadIdx.x / ENGRAM_WARP;
  for (long long i = first; i < count; i += warps) {
    struct engram_row place = engram_place_of(table, row_ids[i], i, lane, bad);
    unsigned char *to = codes + i * table.head_dim;
    if (place.weight != NULL && engram_is_wide(table.head_dim, place.weight) &&
        (unsigned long long)to % ENGRAM_LANE_CODES == 0) {
      for (int k = lane * ENGRAM_LANE_CODES; k < table.head_dim;
           k += ENGRAM_WARP * ENGRAM_LANE_CODES) {
        *(unsigned long long *)(to + k) = *(const unsigned long long *)(place.weight + k);
      }
    } else {
      for (int k = lane; k < table.head_dim; k += ENGRAM_WARP) {
        to[k] = place.weight == NULL ? 0 : place.weight[k];
      }
    }
    for (int k = lane; k < blocks; k += ENGRAM_WARP) {
      long long token = i / columns;
      long long block = i % columns * blocks + k;
      long long all = (long long)columns * blocks;
      long long at = scale_layout == ENGRAM_CUDA_SCALES_TILES
                         ? engram_tiled_scale(token, block, all)
                         : token * all + block;
      scales[at] = place.weight == NULL ? 0 : place.scale[k]; /* 2^-127 of zeros */
    }
  }
}

#endif
