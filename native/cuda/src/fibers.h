/*
 * CUDA's words for a C++ compiler: a block's threads are fibers of one thread, which go on to the
 * next barrier in turns. It shows a kernel's logic, and a barrier that not all threads reach; it
 * shows no races, and its rounding is the host's. Only the words that the kernels use are here.
 */
#ifndef ENGRAM_CUDA_FIBERS_H
#define ENGRAM_CUDA_FIBERS_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>

#include <functional>

#define __global__ static
#define __device__ static
#define __shared__ static /* blocks run one after the other */

struct fiber_index {
  unsigned x;
};
static fiber_index threadIdx, blockIdx, blockDim, gridDim;

enum { FIBER_MOST = 1024, FIBER_STACK = 64 << 10, FIBER_WARP = 32 };

static struct {
  ucontext_t scheduler;
  ucontext_t fibers[FIBER_MOST];
  char *stacks;
  bool done[FIBER_MOST];
  double exchanged[FIBER_MOST];
  std::function<void()> body;
} fibers;

static void fiber_yield() {
  unsigned self = threadIdx.x;
  swapcontext(&fibers.fibers[self], &fibers.scheduler);
  threadIdx.x = self;
}

static void __syncthreads() {
  fiber_yield();
}

static double __shfl_down_sync(unsigned, double value, int offset) {
  fibers.exchanged[threadIdx.x] = value;
  fiber_yield();
  unsigned from = threadIdx.x + offset;
  bool same = from / FIBER_WARP == threadIdx.x / FIBER_WARP;
  double other = same ? fibers.exchanged[from] : value;
  fiber_yield(); /* before somebody writes the next value */
  return other;
}

static void fiber_main() {
  fibers.body();
  fibers.done[threadIdx.x] = true;
}

/* Runs the threads of a block to their ends, barrier by barrier. */
static void fiber_block(unsigned threads) {
  if (!fibers.stacks) {
    fibers.stacks = (char *)malloc((size_t)FIBER_MOST * FIBER_STACK);
  }
  for (unsigned i = 0; i < threads; i++) {
    ucontext_t *fiber = &fibers.fibers[i];
    getcontext(fiber);
    fiber->uc_stack.ss_sp = fibers.stacks + (size_t)i * FIBER_STACK;
    fiber->uc_stack.ss_size = FIBER_STACK;
    fiber->uc_link = &fibers.scheduler;
    makecontext(fiber, fiber_main, 0);
    fibers.done[i] = false;
  }
  for (unsigned ended = 0; ended < threads;) {
    ended = 0;
    for (unsigned i = 0; i < threads; i++) {
      if (!fibers.done[i]) {
        threadIdx.x = i;
        swapcontext(&fibers.scheduler, &fibers.fibers[i]);
      }
      ended += fibers.done[i];
    }
    if (ended != 0 && ended != threads) {
      fprintf(stderr, "FAILED: %u of %u threads reached a barrier\n", threads - ended, threads);
      abort();
    }
  }
}

static void fiber_launch(unsigned grid, unsigned threads, const std::function<void()> &body) {
  gridDim.x = grid;
  blockDim.x = threads;
  fibers.body = body;
  for (unsigned block = 0; block < grid; block++) {
    blockIdx.x = block;
    fiber_block(threads);
  }
}

/* One device, whose memory is the host's. */
typedef int cudaError_t;
typedef void *cudaStream_t;
enum { cudaSuccess = 0, cudaErrorInvalidDevice = 101, cudaHostRegisterMapped = 2 };

static cudaError_t cudaSetDevice(int device) {
  return device == 0 ? cudaSuccess : cudaErrorInvalidDevice;
}
static cudaError_t cudaGetDeviceCount(int *count) {
  *count = 1;
  return cudaSuccess;
}
static cudaError_t cudaHostRegister(void *, size_t, unsigned) {
  return cudaSuccess;
}
static cudaError_t cudaHostUnregister(void *) {
  return cudaSuccess;
}
static cudaError_t cudaHostGetDevicePointer(void **address, void *host, unsigned) {
  *address = host;
  return cudaSuccess;
}
static cudaError_t cudaStreamSynchronize(cudaStream_t) {
  return cudaSuccess;
}
static cudaError_t cudaGetLastError() {
  return cudaSuccess;
}
static const char *cudaGetErrorString(cudaError_t error) {
  return error == cudaErrorInvalidDevice ? "invalid device ordinal" : "no error";
}

#define ENGRAM_LAUNCH(kernel, grid, threads, stream, ...) \
  ((void)(stream), fiber_launch(grid, threads, [=] { kernel(__VA_ARGS__); }))

#endif
