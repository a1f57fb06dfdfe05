/*
 * Stage gate: a block per token and branch. Sums are in double: the gate takes a root of their
 * ratio, which makes small errors large near zero.
 */
#ifndef ENGRAM_CUDA_GATE_H
#define ENGRAM_CUDA_GATE_H

#include "formats.h"

__device__ inline float load_hidden(const unsigned char *stream, int type, long long i) {
  return type == ENGRAM_F32 ? load32(stream + 4 * i) : load16(stream + 2 * i, ENGRAM_BF16);
}

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

__global__ void gate_kernel(struct engram_gate_weights gate, const unsigned char *kv, int kv_type,
                            unsigned char *hidden, int type, long long token_stride,
                            long long branch_stride, const signed char *mask, float *gates,
                            float *gated) {
  __shared__ double shared[ENGRAM_WARPS];
  const int branch = blockIdx.x % gate.branches;
  const long long token = blockIdx.x / gate.branches;
  const long long size = gate.hidden;
  const long long kv_bytes = kv_type == ENGRAM_F32 ? 4 : 2;
  const unsigned char *key = kv + (token * (gate.branches + 1) + branch) * size * kv_bytes;
  const unsigned char *value = kv + (token * (gate.branches + 1) + gate.branches) * size * kv_bytes;
  const float *product = gate.product + branch * size;
  unsigned char *stream = hidden + token * token_stride + branch * branch_stride;
  float result = 0;
  if (mask[token]) {
    double streams = 0;
    double keys = 0;
    double dots = 0;
    for (long long i = threadIdx.x; i < size; i += ENGRAM_THREADS) {
      double x = load_hidden(stream, type, i);
      double k = load_hidden(key, kv_type, i);
      streams += x * x;
      keys += k * k;
      dots += x * product[i] * k;
    }
    streams = block_sum(streams, shared);
    keys = block_sum(keys, shared);
    dots = block_sum(dots, shared);
    result = gate_of(gate, streams, keys, dots);
  }
  if (threadIdx.x == 0) {
    gates[blockIdx.x] = result;
  }
  for (long long i = threadIdx.x; i < size; i += ENGRAM_THREADS) {
    float memory = mask[token] ? result * load_hidden(value, kv_type, i) : 0;
    if (gated != NULL) {
      gated[blockIdx.x * size + i] = memory;
    } else if (mask[token]) {
      store(stream, i, type, load_hidden(stream, type, i) + memory);
    }
  }
}

#endif
