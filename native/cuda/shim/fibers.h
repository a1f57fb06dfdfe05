/*
 * CUDA's words for a C++ compiler: a block's threads are fibers of one thread, which go on to the
 * next barrier in turns. It shows a kernel's logic, and a barrier that not all threads reach; it
 * shows no races, and its rounding is the host's. Fibers are made once and switched by longjmp,
 * which, unlike swapcontext, asks the system for nothing. Only the words that the kernels use are
 * here; those of the host's side, memory and streams, are in runtime.h.
 */
#ifndef ENGRAM_CUDA_FIBERS_H
#define ENGRAM_CUDA_FIBERS_H

#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include <functional>

#include "runtime.h"

#define __global__ static
#define __device__ static
#define __host__
#define __shared__ static /* blocks run one after the other */

struct fiber_index {
  unsigned x;
};
inline fiber_index threadIdx, blockIdx, blockDim, gridDim;

enum { FIBER_MOST = 1024, FIBER_STACK = 64 << 10, FIBER_WARP = 32 };

struct fiber_block_state {
  jmp_buf scheduler;
  jmp_buf fibers[FIBER_MOST];
  bool made[FIBER_MOST];
  bool done[FIBER_MOST];
  char exchanged[FIBER_MOST][8];
  std::function<void()> body;
  bool flat; /* threads run one after the other, and must not wait for each other */
};
inline fiber_block_state fibers;

inline void fiber_yield() {
  if (fibers.flat) {
    fprintf(stderr, "FAILED: a kernel that was launched without barriers has one\n");
    abort();
  }
  unsigned self = threadIdx.x;
  if (_setjmp(fibers.fibers[self]) == 0) {
    _longjmp(fibers.scheduler, 1);
  }
  threadIdx.x = self;
}

inline void __syncthreads() {
  fiber_yield();
}

inline void __syncwarp() {
  fiber_yield(); /* of more threads than it must be */
}

inline void __threadfence() {
}

template <typename T>
T fiber_exchange(T value, unsigned from) {
  static_assert(sizeof(T) <= 8, "what threads exchange");
  memcpy(fibers.exchanged[threadIdx.x], &value, sizeof value);
  fiber_yield();
  if (from / FIBER_WARP == threadIdx.x / FIBER_WARP) {
    memcpy(&value, fibers.exchanged[from], sizeof value);
  }
  fiber_yield(); /* before somebody writes the next value */
  return value;
}

template <typename T>
T __shfl_down_sync(unsigned, T value, int offset) {
  return fiber_exchange(value, threadIdx.x + offset);
}

template <typename T>
T __shfl_sync(unsigned, T value, int lane) {
  return fiber_exchange(value, threadIdx.x / FIBER_WARP * FIBER_WARP + lane);
}

inline unsigned long long atomicCAS(unsigned long long *at, unsigned long long from,
                                    unsigned long long to) {
  unsigned long long old = *at;
  *at = old == from ? to : old;
  return old;
}

inline unsigned long long atomicAdd(unsigned long long *at, unsigned long long more) {
  unsigned long long old = *at;
  *at = old + more;
  return old;
}

/* A fiber runs a thread of one block after the other. */
inline void fiber_main() {
  for (;;) {
    fibers.body();
    fibers.done[threadIdx.x] = true;
    fiber_yield();
  }
}

inline void fiber_make(unsigned i) {
  static ucontext_t start[FIBER_MOST];
  getcontext(&start[i]);
  start[i].uc_stack.ss_sp = malloc(FIBER_STACK);
  start[i].uc_stack.ss_size = FIBER_STACK;
  makecontext(&start[i], fiber_main, 0);
  fibers.made[i] = true;
  setcontext(&start[i]); /* comes back through the scheduler */
}

/* Lets a thread go on to its next barrier, or end. */
inline void fiber_resume(unsigned i) {
  threadIdx.x = i;
  if (_setjmp(fibers.scheduler) != 0) {
    return;
  }
  if (!fibers.made[i]) {
    fiber_make(i);
  }
  _longjmp(fibers.fibers[i], 1);
}

/* Runs the threads of a block to their ends, barrier by barrier. */
inline void fiber_block(unsigned threads) {
  memset(fibers.done, 0, sizeof fibers.done);
  for (unsigned ended = 0; ended < threads;) {
    ended = 0;
    for (unsigned i = 0; i < threads; i++) {
      if (!fibers.done[i]) {
        fiber_resume(i);
      }
      ended += fibers.done[i];
    }
    if (ended != 0 && ended != threads) {
      fprintf(stderr, "FAILED: %u of %u threads reached a barrier\n", threads - ended, threads);
      abort();
    }
  }
}

inline void fiber_launch(bool flat, unsigned grid, unsigned threads,
                         const std::function<void()> &body) {
  gridDim.x = grid;
  blockDim.x = threads;
  fibers.flat = flat;
  fibers.body = body;
  for (unsigned block = 0; block < grid; block++) {
    blockIdx.x = block;
    if (!flat) {
      fiber_block(threads);
      continue;
    }
    for (unsigned i = 0; i < threads; i++) {
      threadIdx.x = i;
      body();
    }
  }
}

/* Arguments are taken when a kernel is launched, as CUDA does it, and used when it runs. */
template <typename... Parameters, typename... Arguments>
void fiber_queue(bool flat, void *stream, unsigned grid, unsigned threads,
                 void (*kernel)(Parameters...), Arguments... arguments) {
  shim_queue((cudaStream_t)stream, SHIM_LAUNCH,
             [=] { fiber_launch(flat, grid, threads, [=] { kernel(arguments...); }); });
}

#define ENGRAM_LAUNCH(kernel, grid, threads, stream, ...) \
  fiber_queue(false, stream, grid, threads, kernel, __VA_ARGS__)
/* Of a kernel without barriers: a hundred times faster. */
#define ENGRAM_LAUNCH_FLAT(kernel, grid, threads, stream, ...) \
  fiber_queue(true, stream, grid, threads, kernel, __VA_ARGS__)

#endif
