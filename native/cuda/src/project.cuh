/*
 * Stage project, for few tokens: a warp per output, which reads its weights once for a group of
 * tokens. fp8 weights stay fp8 until they are in registers. Eight products are added in float, the
 * rest in double, as on the CPU: the gate makes much of a small error near a zero dot product. What
 * many tokens need is a matrix product on tensor cores, which engines have; they take the rows by
 * their address.
 */
#ifndef ENGRAM_CUDA_PROJECT_CUH
#define ENGRAM_CUDA_PROJECT_CUH

#include "formats.cuh"

#define ENGRAM_PROJECT_GROUP 8 /* tokens that share a read of the weights */
#define ENGRAM_LANE_WEIGHTS 8

/* Some of an output's weights as floats, without their scale; fp8 over 256. */
__device__ inline void engram_load_weights(int type, const unsigned char *row, int k, int many,
                                           float *weights) {
  unsigned long long codes = 0;
  bool wide = type == ENGRAM_F8_E4M3 && many == ENGRAM_LANE_WEIGHTS &&
              engram_is_aligned(row + k, 0, ENGRAM_LANE_WEIGHTS);
  if (wide) {
    codes = *(const unsigned long long *)(row + k);
  }
  for (int i = 0; i < ENGRAM_LANE_WEIGHTS; i++) { /* a constant bound keeps them in registers */
    if (i >= many) {
      weights[i] = 0;
    } else if (wide) {
      weights[i] = engram_moved_e4m3_over_256((unsigned)(codes >> 8 * i) & 0xff);
    } else if (type == ENGRAM_F8_E4M3) {
      weights[i] = engram_moved_e4m3_over_256(row[k + i]);
    } else if (type == ENGRAM_F32 || type == ENGRAM_BF16) {
      weights[i] = engram_load(row, type, k + i);
    } else {
      weights[i] = engram_row_code(type, row, k + i);
    }
  }
}

__device__ inline float engram_products(const float *weights, const void *in, int in_type,
                                        long long at, int many, bool wide) {
  float sum = 0;
  if (wide) {
    for (int half = 0; half < ENGRAM_LANE_WEIGHTS; half += 4) {
      engram_four_floats x = engram_load4(in, in_type, at + half);
      for (int i = 0; i < 4; i++) {
        sum += weights[half + i] * x.at[i];
      }
    }
    return sum;
  }
  for (int i = 0; i < ENGRAM_LANE_WEIGHTS; i++) {
    sum += i < many ? weights[i] * engram_load(in, in_type, at + i) : 0;
  }
  return sum;
}

/* Adds a lane's part of the products of an output with up to TOKENS tokens. */
template <int TOKENS>
__device__ inline void engram_add_products(const struct engram_linear &linear, int output,
                                           const void *in, int in_type, long long token, int some,
                                           int lane, double *sums) {
  const unsigned char *row =
      (const unsigned char *)linear.weight + (long long)output * linear.weight_stride;
  const unsigned char *scales = linear.scale == NULL
                                    ? NULL
                                    : (const unsigned char *)linear.scale +
                                          (long long)(output / ENGRAM_BLOCK) * linear.scale_stride;
  const int bytes = 4 * engram_out_bytes(in_type);
  const bool whole =
      engram_is_aligned(in, (long long)linear.inputs * engram_out_bytes(in_type), bytes);
  for (int k = lane * ENGRAM_LANE_WEIGHTS; k < linear.inputs;
       k += ENGRAM_WARP * ENGRAM_LANE_WEIGHTS) {
    int many = linear.inputs - k < ENGRAM_LANE_WEIGHTS ? linear.inputs - k : ENGRAM_LANE_WEIGHTS;
    float weights[ENGRAM_LANE_WEIGHTS];
    engram_load_weights(linear.type, row, k, many, weights);
    double factor = scales == NULL ? 1 : 256.0 * engram_e8m0(scales[k / ENGRAM_BLOCK]);
    for (int i = 0; i < TOKENS; i++) {
      if (i < some) {
        long long at = (token + i) * linear.inputs + k;
        sums[i] += factor * engram_products(weights, in, in_type, at, many,
                                            whole && many == ENGRAM_LANE_WEIGHTS);
      }
    }
  }
}

/* Some product in float was infinite, which the sum need not be: in double, by one lane. */
__device__ inline double engram_exact_sum(const struct engram_linear &linear, int output,
                                          const void *in, int in_type, long long token) {
  const unsigned char *row =
      (const unsigned char *)linear.weight + (long long)output * linear.weight_stride;
  const unsigned char *scales = (const unsigned char *)linear.scale;
  double sum = 0;
  for (int k = 0; k < linear.inputs; k++) {
    double product = (double)engram_row_code(linear.type, row, k) *
                     engram_load(in, in_type, token * linear.inputs + k);
    long long scale = output / ENGRAM_BLOCK * (long long)linear.scale_stride + k / ENGRAM_BLOCK;
    sum += scales == NULL ? product : engram_e8m0(scales[scale]) * product;
  }
  return sum;
}

/* For steps of one token a group is that token, so that no arithmetic is done for others. */
template <int TOKENS>
__global__ void engram_project_kernel(struct engram_linear linear, const void *in, int in_type,
                                      long long tokens, int first, int count, float *out,
                                      long long out_stride) {
  const int lane = threadIdx.x % ENGRAM_WARP;
  const long long all = (tokens + TOKENS - 1) / TOKENS * count;
  const long long warps = (long long)gridDim.x * ENGRAM_WARPS;
  const long long start = (long long)blockIdx.x * ENGRAM_WARPS + threadIdx.x / ENGRAM_WARP;
  const long long rounds = (all + warps - 1) / warps; /* the same for all, as for barriers */
  for (long long round = 0; round < rounds; round++) {
    long long task = start + round * warps;
    bool active = task < all;
    int output = active ? first + (int)(task % count) : 0;
    long long token = active ? task / count * TOKENS : 0;
    int some = !active ? 0 : tokens - token < TOKENS ? (int)(tokens - token) : TOKENS;
    double sums[TOKENS] = {0};
    engram_add_products<TOKENS>(linear, output, in, in_type, token, some, lane, sums);
    for (int i = 0; i < TOKENS; i++) {
      for (int offset = ENGRAM_WARP / 2; offset > 0; offset /= 2) {
        sums[i] += __shfl_down_sync(0xffffffffu, sums[i], offset);
      }
      if (lane == 0 && i < some) {
        double bias = linear.bias == NULL ? 0 : linear.bias[output];
        if (!(sums[i] - sums[i] == 0)) {
          sums[i] = engram_exact_sum(linear, output, in, in_type, token + i);
        }
        out[(token + i) * out_stride + (output - first)] = (float)(sums[i] + bias);
      }
    }
  }
}

#endif
