/* Stage conv: a block per token and branch for the norm, then a thread per channel. */
#ifndef ENGRAM_CUDA_CONV_H
#define ENGRAM_CUDA_CONV_H

#include "gate.h"

/* Writes the normalised values of the tokens behind those of the tokens before. */
__global__ void conv_norm_kernel(struct engram_conv_weights conv, const float *gated, float *window,
                                 long long all) {
  __shared__ double shared[ENGRAM_WARPS];
  const long long size = conv.hidden;
  const long long reach = (long long)(conv.kernel - 1) * conv.dilation;
  for (long long at = blockIdx.x; at < all; at += gridDim.x) {
    const int branch = (int)(at % conv.branches);
    const float *from = gated + at * size;
    float *to = window + reach * conv.branches * size + at * size;
    double squares = 0;
    for (long long i = threadIdx.x; i < size; i += ENGRAM_THREADS) {
      double x = from[i];
      squares += x * x;
    }
    block_sums(&squares, 1, shared);
    double scale = 1 / sqrt(squares / (double)size + conv.eps);
    for (long long i = threadIdx.x; i < size; i += ENGRAM_THREADS) {
      to[i] = (float)(from[i] * scale * conv.norm[branch * size + i]);
    }
  }
}

__global__ void conv_taps_kernel(struct engram_conv_weights conv, const float *gated,
                                 const float *window, long long tokens, float *delta) {
  const long long channels = (long long)conv.branches * conv.hidden;
  const long long step = (long long)gridDim.x * blockDim.x;
  for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < tokens * channels;
       i += step) {
    long long channel = i % channels;
    long long token = i / channels;
    float sum = 0;
    for (int tap = 0; tap < conv.kernel; tap++) {
      long long row = token + (long long)tap * conv.dilation;
      sum += conv.taps[channel * conv.kernel + tap] * window[row * channels + channel];
    }
    double silu = sum / (1 + exp(-(double)sum));
    delta[i] = gated[i] + (float)silu;
  }
}

#endif
