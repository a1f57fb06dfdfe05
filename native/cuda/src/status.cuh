/* How functions of the interface tell what went wrong. */
#ifndef ENGRAM_CUDA_STATUS_CUH
#define ENGRAM_CUDA_STATUS_CUH

#include "../include/engram_cuda.h"
#include "device.cuh"

/* ENGRAM_OK, or the status of a CUDA error with its text as the detail. */
int engram_cuda_status(cudaError_t error, const char *what);

/* ENGRAM_ERROR_ARGUMENT, with a detail. */
int engram_wrong_argument(const char *what);

/* ENGRAM_ERROR_STRUCT, with a detail. */
int engram_wrong_struct(const char *what);

/* Checks a queue and makes its device current. */
int engram_enter_queue(const struct engram_cuda_queue *on);

/* Makes a device current. */
int engram_enter_device(int device);

/* Allocating and freeing would end the capture of a graph that some other thread is making. */
struct engram_beside_captures {
  cudaStreamCaptureMode mode = cudaStreamCaptureModeRelaxed;
  engram_beside_captures() {
    cudaThreadExchangeStreamCaptureMode(&mode);
  }
  ~engram_beside_captures() {
    cudaThreadExchangeStreamCaptureMode(&mode);
  }
};

#endif
