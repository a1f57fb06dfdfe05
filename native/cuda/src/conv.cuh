/* Stage conv: a block per token and branch for the norm, then a thread per channel. */
#ifndef ENGRAM_CUDA_CONV_CUH
#define ENGRAM_CUDA_CONV_CUH

#include "gate.cuh"

/* Writes the normalised values of the tokens to their rows. */
__global__ void engram_conv_norm_kernel(struct engram_conv_weights conv, const float *gated,
                                        float *rows, long long all) {
  __shared__ double shared[ENGRAM_WARPS];
  const long long size = conv.hidden;
  for (long long at = blockIdx.x; at < all; at += gridDim.x) {
    const int branch = (int)(at % conv.branches);
    const float *from = gated + at * size;
    float *to = rows + at * size;
    double squares = 0;
    for (long long i = threadIdx.x; i < size; i += ENGRAM_THREADS) {
      double x = from[i];
      squares += x * x;
    }
    engram_block_sums(&squares, 1, shared);
    double scale = 1 / sqrt(squares / (double)size + conv.eps);
    for (long long i = threadIdx.x; i < size; i += ENGRAM_THREADS) {
      to[i] = (float)(from[i] * scale * conv.norm[branch * size + i]);
    }
  }
}

/* What passed the gates becomes what is added to the stream. */
__global__ void engram_conv_taps_kernel(struct engram_conv_weights conv, float *gated,
                                        const float *rows, const signed char *mask,
                                        long long tokens, unsigned char *hidden, int type,
                                        long long token_stride, long long branch_stride) {
  const long long channels = (long long)conv.branches * conv.hidden;
  const long long step = (long long)gridDim.x * blockDim.x;
  for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < tokens * channels;
       i += step) {
    long long channel = i % channels;
    long long token = i / channels;
    if (!mask[token]) {
      gated[i] = 0;
      continue;
    }
    float sum = 0;
    for (int tap = 0; tap < conv.kernel; tap++) {
      long long back = (long long)(conv.kernel - 1 - tap) * conv.dilation;
      sum += conv.taps[channel * conv.kernel + tap] * rows[(token - back) * channels + channel];
    }
    float delta = gated[i] + engram_silu(sum);
    gated[i] = delta;
    unsigned char *to = hidden + token * token_stride + channel / conv.hidden * branch_stride;
    long long at = channel % conv.hidden;
    engram_store(to, type, at, engram_load(to, type, at) + delta);
  }
}

#endif
