/*
 * What kernels are written in: CUDA's own words, or for a machine without a GPU a shim that gives
 * the same words to a C++ compiler (../shim).
 */
#ifndef ENGRAM_CUDA_DEVICE_CUH
#define ENGRAM_CUDA_DEVICE_CUH

#include <string.h>

#include "../include/engram_cuda.h"

#if !defined(__CUDACC__)
#include "../shim/fibers.h"
#endif

#define ENGRAM_WARP 32
#define ENGRAM_THREADS 256
#define ENGRAM_WARPS (ENGRAM_THREADS / ENGRAM_WARP) /* of a block */

#endif
