/*
 * What kernels are written in: CUDA's own words, or for a machine without a GPU a shim that gives
 * the same words to a C++ compiler (fibers.h).
 */
#ifndef ENGRAM_CUDA_DEVICE_H
#define ENGRAM_CUDA_DEVICE_H

#include <string.h>

#include "../include/engram_cuda.h"

#if !defined(__CUDACC__)
#include "fibers.h"
#endif

#define ENGRAM_WARP 32
#define ENGRAM_THREADS 256

#endif
