/*
 * Stage gate: a block per token and branch. Sums are in double: the gate takes a root of their
 * ratio, which makes small errors large near zero.
 */
#ifndef ENGRAM_CUDA_GATE_H
#define ENGRAM_CUDA_GATE_H

#include "formats.h"

/* The sum over a block's threads, in every thread of it. */
__device__ inline double block_sum(double value, double *shared) {
  for (int offset = ENGRAM_WARP / 2; offset > 0; offset /= 2) {
    value += __shfl_down_sync(0xffffffffu, value, offset);
  }
  if (threadIdx.x % ENGRAM_WARP == 0) {
    shared[threadIdx.x / ENGRAM_WARP] = value;
  }
  __syncthreads();
  double sum = 0;
  for (int warp = 0; warp < ENGRAM_WARPS; warp++) {
    sum += shared[warp];
  }
  __syncthreads(); /* before the next sum writes there */
  return sum;
}

/* Specification, section 7. */
__device__ inline float gate_of(const struct engram_gate_weights &gate, double streams, double keys,
                                double dots) {
  double size = gate.hidden;
  double norms = sqrt(streams / size + gate.eps) * sqrt(keys / size + gate.eps);
  double dot = dots / norms / sqrt(size);
  double root = 0;
  if (dot != 0 || !gate.zero_is_half) {
    double magnitude = fabs(dot);
    root = copysign(sqrt(magnitude < 1e-6 ? 1e-6 : magnitude), dot);
  }
  return (float)(1 / (1 + exp(-root)));
}

/* A token's branch: where its numbers are, and whether four of them can be moved at once. */
struct gate_place {
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

__device__ inline void add_squares(double x, double k, double p, double *sums) {
  sums[0] += x * x;
  sums[1] += k * k;
  sums[2] += x * p * k;
}

__device__ inline void gate_sums(const struct gate_place &place, double *sums) {
  if (!place.wide) {
    for (int i = threadIdx.x; i < place.size; i += ENGRAM_THREADS) {
      add_squares(load(place.stream, place.type, i), load(place.key, place.kv_type, i),
                  place.product[i], sums);
    }
    return;
  }
  for (int i = 4 * threadIdx.x; i < place.size; i += 4 * ENGRAM_THREADS) {
    four_floats x = load4(place.stream, place.type, i);
    four_floats k = load4(place.key, place.kv_type, i);
    four_floats p = load4(place.product, ENGRAM_F32, i);
    for (int lane = 0; lane < 4; lane++) {
      add_squares(x.at[lane], k.at[lane], p.at[lane], sums);
    }
  }
}

/* Adds gate * value to the stream, or writes it apart; a dead token's is zeros. */
__device__ inline void gate_apply(const struct gate_place &place, float gate, bool live) {
  if (place.gated == NULL && !live) {
    return;
  }
  if (!place.wide) {
    for (int i = threadIdx.x; i < place.size; i += ENGRAM_THREADS) {
      float memory = live ? gate * load(place.value, place.kv_type, i) : 0;
      if (place.gated != NULL) {
        place.gated[i] = memory;
      } else {
        store(place.stream, place.type, i, load(place.stream, place.type, i) + memory);
      }
    }
    return;
  }
  for (int i = 4 * threadIdx.x; i < place.size; i += 4 * ENGRAM_THREADS) {
    four_floats value = load4(place.value, place.kv_type, i);
    four_floats memory = {};
    for (int lane = 0; live && lane < 4; lane++) {
      memory.at[lane] = gate * value.at[lane];
    }
    if (place.gated != NULL) {
      store4(place.gated, ENGRAM_F32, i, memory);
      continue;
    }
    four_floats x = load4(place.stream, place.type, i);
    for (int lane = 0; lane < 4; lane++) {
      x.at[lane] += memory.at[lane];
    }
    store4(place.stream, place.type, i, x);
  }
}

__global__ void gate_kernel(struct engram_gate_weights gate, const unsigned char *kv, int kv_type,
                            unsigned char *hidden, int type, long long token_stride,
                            long long branch_stride, const signed char *mask, long long all,
                            int wide, float *gates, float *gated) {
  __shared__ double shared[ENGRAM_WARPS];
  const long long size = gate.hidden;
  for (long long at = blockIdx.x; at < all; at += gridDim.x) {
    const int branch = (int)(at % gate.branches);
    const long long token = at / gate.branches;
    const unsigned char *own = kv + token * (gate.branches + 1) * size * type_bytes(kv_type);
    struct gate_place place = {own + branch * size * type_bytes(kv_type),
                               own + gate.branches * size * type_bytes(kv_type),
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
      double sums[3] = {0, 0, 0};
      gate_sums(place, sums);
      double streams = block_sum(sums[0], shared);
      double keys = block_sum(sums[1], shared);
      double dots = block_sum(sums[2], shared);
      result = gate_of(gate, streams, keys, dots);
    }
    if (threadIdx.x == 0) {
      gates[at] = result;
    }
    gate_apply(place, result, live);
  }
}

#endif
