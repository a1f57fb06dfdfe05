/*
 * Stage gate: a block per token and branch. Four products are added in float before they go on in
 * double, as many cards have few units for it. Where that is not exact enough the sums are made
 * again, in double alone.
 */
#ifndef ENGRAM_CUDA_GATE_CUH
#define ENGRAM_CUDA_GATE_CUH

#include "formats.cuh"

#include "../../src/gate_formula.h"

#define ENGRAM_GATE_SUMS 3

/* Sums over a block's threads, in every thread of it; shared has ENGRAM_WARPS times as many. */
__device__ inline void engram_block_sums(double *sums, int count, double *shared) {
  for (int i = 0; i < count; i++) {
    for (int offset = ENGRAM_WARP / 2; offset > 0; offset /= 2) {
      sums[i] += __shfl_down_sync(0xffffffffu, sums[i], offset);
    }
    if (threadIdx.x % ENGRAM_WARP == 0) {
      shared[i * ENGRAM_WARPS + threadIdx.x / ENGRAM_WARP] = sums[i];
    }
  }
  __syncthreads();
  for (int i = 0; i < count; i++) {
    sums[i] = 0;
    for (int warp = 0; warp < ENGRAM_WARPS; warp++) {
      sums[i] += shared[i * ENGRAM_WARPS + warp];
    }
  }
  __syncthreads(); /* before the next sums are written there */
}

/* A token's branch: where its numbers are, and whether four of them can be moved at once. */
struct engram_gate_place {
  const unsigned char *key;
  const unsigned char *value;
  const float *product;
  unsigned char *stream;
  float *gated;
  int size;
  int kv_type;
  int type;
  bool wide;
};

__device__ inline void engram_double_sums(const struct engram_gate_place &place, double *sums) {
  for (int i = threadIdx.x; i < place.size; i += ENGRAM_THREADS) {
    double x = engram_load(place.stream, place.type, i);
    double k = engram_load(place.key, place.kv_type, i);
    sums[0] += x * x;
    sums[1] += k * k;
    sums[2] += x * place.product[i] * k;
  }
}

__device__ inline void engram_float_sums(const struct engram_gate_place &place, double *sums) {
  for (int i = 4 * threadIdx.x; i < place.size; i += 4 * ENGRAM_THREADS) {
    engram_four_floats x = engram_load4(place.stream, place.type, i);
    engram_four_floats k = engram_load4(place.key, place.kv_type, i);
    engram_four_floats p = engram_load4(place.product, ENGRAM_F32, i);
    float four[3] = {0, 0, 0};
    for (int lane = 0; lane < 4; lane++) {
      four[0] += x.at[lane] * x.at[lane];
      four[1] += k.at[lane] * k.at[lane];
      four[2] += x.at[lane] * p.at[lane] * k.at[lane];
    }
    for (int sum = 0; sum < 3; sum++) {
      sums[sum] += four[sum];
    }
  }
}

/* The sums of all threads: squares of stream and key, and their products. */
__device__ inline void engram_gate_sums(const struct engram_gate_place &place, double *sums,
                                        double *shared) {
  sums[0] = sums[1] = sums[2] = 0;
  if (place.wide) {
    engram_float_sums(place, sums);
    engram_block_sums(sums, ENGRAM_GATE_SUMS, shared);
    if (engram_gate_sums_will_do(sums, place.size)) { /* the same in all threads */
      return;
    }
    sums[0] = sums[1] = sums[2] = 0;
  }
  engram_double_sums(place, sums);
  engram_block_sums(sums, ENGRAM_GATE_SUMS, shared);
}

/* Adds gate * value to the stream, or writes it apart; a dead token's is zeros. */
__device__ inline void engram_gate_apply(const struct engram_gate_place &place, float gate,
                                         bool live) {
  if (place.gated == NULL && !live) {
    return;
  }
  if (!place.wide) {
    for (int i = threadIdx.x; i < place.size; i += ENGRAM_THREADS) {
      float memory = live ? gate * engram_load(place.value, place.kv_type, i) : 0;
      if (place.gated != NULL) {
        place.gated[i] = memory;
      } else {
        engram_store(place.stream, place.type, i,
                     engram_load(place.stream, place.type, i) + memory);
      }
    }
    return;
  }
  for (int i = 4 * threadIdx.x; i < place.size; i += 4 * ENGRAM_THREADS) {
    engram_four_floats value = engram_load4(place.value, place.kv_type, i);
    engram_four_floats memory = {};
    for (int lane = 0; live && lane < 4; lane++) {
      memory.at[lane] = gate * value.at[lane];
    }
    if (place.gated != NULL) {
      engram_store4(place.gated, ENGRAM_F32, i, memory);
      continue;
    }
    engram_four_floats x = engram_load4(place.stream, place.type, i);
    for (int lane = 0; lane < 4; lane++) {
      x.at[lane] += memory.at[lane];
    }
    engram_store4(place.stream, place.type, i, x);
  }
}

__global__ void engram_gate_kernel(struct engram_gate_weights gate, const unsigned char *kv,
                                   int kv_type, unsigned char *hidden, int type,
                                   long long token_stride, long long branch_stride,
                                   const signed char *mask, long long all, int wide, float *gates,
                                   float *gated) {
  __shared__ double shared[ENGRAM_GATE_SUMS * ENGRAM_WARPS];
  const long long size = gate.hidden;
  for (long long at = blockIdx.x; at < all; at += gridDim.x) {
    const int branch = (int)(at % gate.branches);
    const long long token = at / gate.branches;
    const unsigned char *own = kv + token * (gate.branches + 1) * size * engram_out_bytes(kv_type);
    struct engram_gate_place place = {own + branch * size * engram_out_bytes(kv_type),
                                      own + gate.branches * size * engram_out_bytes(kv_type),
                                      gate.product + branch * size,
                                      hidden + token * token_stride + branch * branch_stride,
                                      gated == NULL ? NULL : gated + at * size,
                                      gate.hidden,
                                      kv_type,
                                      type,
                                      wide != 0};
    const bool live = mask[token] != 0;
    float result = 0;
    if (live) {
      double sums[ENGRAM_GATE_SUMS];
      engram_gate_sums(place, sums, shared);
      result = engram_gate_of(gate.hidden, gate.eps, gate.zero_is_half, sums);
    }
    if (threadIdx.x == 0) {
      gates[at] = result;
    }
    engram_gate_apply(place, result, live);
  }
}

#endif
