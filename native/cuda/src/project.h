/*
 * Stage project, for few tokens: a warp per output, which reads its weights once for a group of
 * tokens. fp8 weights stay fp8 until they are in registers. Eight products are added in float, the
 * rest in double, as on the CPU: the gate makes much of a small error near a zero dot product.
 * What many tokens need is a matrix
 * product on tensor cores, which engines have; they take the rows by their address.
 */
#ifndef ENGRAM_CUDA_PROJECT_H
#define ENGRAM_CUDA_PROJECT_H

#include "formats.h"

#define GROUP 8 /* tokens that share a read of the weights */
#define LANE_WEIGHTS 8

__device__ inline float project_input(const unsigned char *in, int type, long long i) {
  return type == ENGRAM_F32 ? load32(in + 4 * i) : load16(in + 2 * i, ENGRAM_BF16);
}

/* Some of an output's weights as floats, without their scale. */
__device__ inline void load_weights(int type, const unsigned char *row, int k, int many,
                                    float *weights) {
  unsigned long long codes = 0;
  bool wide = type == ENGRAM_F8_E4M3 && many == LANE_WEIGHTS &&
              (unsigned long long)(row + k) % LANE_WEIGHTS == 0;
  if (wide) {
    codes = *(const unsigned long long *)(row + k);
  }
  for (int i = 0; i < LANE_WEIGHTS; i++) { /* a constant bound keeps them in registers */
    if (i >= many) {
      weights[i] = 0;
    } else if (wide) {
      weights[i] = of_e4m3_over_256((unsigned)(codes >> 8 * i) & 0xff);
    } else if (type == ENGRAM_F8_E4M3) {
      weights[i] = of_e4m3_over_256(row[k + i]);
    } else if (type == ENGRAM_F32) {
      weights[i] = load32(row + 4LL * (k + i));
    } else {
      weights[i] = load16(row + 2LL * (k + i), type);
    }
  }
}

/* Adds a lane's part of the products of an output with a group of tokens. */
__device__ inline void add_products(const struct engram_linear &linear, int output,
                                    const unsigned char *in, int in_type, int tokens, int lane,
                                    double *sums) {
  const unsigned char *row =
      (const unsigned char *)linear.weight + (long long)output * linear.weight_stride;
  const unsigned char *scales = linear.scale == NULL
                                    ? NULL
                                    : (const unsigned char *)linear.scale +
                                          (long long)(output / ENGRAM_BLOCK) * linear.scale_stride;
  for (int k = lane * LANE_WEIGHTS; k < linear.inputs; k += ENGRAM_WARP * LANE_WEIGHTS) {
    int many = linear.inputs - k < LANE_WEIGHTS ? linear.inputs - k : LANE_WEIGHTS;
    float weights[LANE_WEIGHTS];
    load_weights(linear.type, row, k, many, weights);
    double factor = scales == NULL ? 1 : 256.0 * of_e8m0(scales[k / ENGRAM_BLOCK]);
    for (int token = 0; token < GROUP; token++) {
      float partial = 0;
      for (int i = 0; i < LANE_WEIGHTS && token < tokens; i++) {
        if (i < many) {
          partial +=
              weights[i] * project_input(in, in_type, (long long)token * linear.inputs + k + i);
        }
      }
      sums[token] += factor * partial;
    }
  }
}

__global__ void project_kernel(struct engram_linear linear, const unsigned char *in, int in_type,
                               long long tokens, int first, int count, float *out,
                               long long out_stride) {
  const int lane = threadIdx.x % ENGRAM_WARP;
  const long long groups = (tokens + GROUP - 1) / GROUP;
  const long long all = groups * count;
  const long long warps = (long long)gridDim.x * ENGRAM_WARPS;
  const long long start = (long long)blockIdx.x * ENGRAM_WARPS + threadIdx.x / ENGRAM_WARP;
  const long long rounds = (all + warps - 1) / warps; /* the same for all, as for barriers */
  for (long long round = 0; round < rounds; round++) {
    long long task = start + round * warps;
    bool active = task < all;
    int output = active ? first + (int)(task % count) : 0;
    long long token = active ? task / count * GROUP : 0;
    int some = !active ? 0 : tokens - token < GROUP ? (int)(tokens - token) : GROUP;
    double sums[GROUP] = {0};
    long long bytes = linear.inputs * (in_type == ENGRAM_F32 ? 4LL : 2LL);
    add_products(linear, output, in + token * bytes, in_type, some, lane, sums);
    for (int i = 0; i < GROUP; i++) {
      for (int offset = ENGRAM_WARP / 2; offset > 0; offset /= 2) {
        sums[i] += __shfl_down_sync(0xffffffffu, sums[i], offset);
      }
      if (lane == 0 && i < some) {
        double bias = linear.bias == NULL ? 0 : linear.bias[output];
        out[(token + i) * out_stride + (output - first)] = (float)(sums[i] + bias);
      }
    }
  }
}

#endif
