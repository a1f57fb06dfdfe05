/* How functions of the interface tell what went wrong. */
#ifndef ENGRAM_CUDA_STATUS_H
#define ENGRAM_CUDA_STATUS_H

#include "../include/engram_cuda.h"
#include "device.h"

/* ENGRAM_OK, or the status of a CUDA error with its text as the detail. */
int cuda_status(cudaError_t error, const char *what);

/* ENGRAM_ERROR_ARGUMENT, with a detail. */
int wrong_argument(const char *what);

/* ENGRAM_ERROR_STRUCT, with a detail. */
int wrong_struct(const char *what);

/* Checks a queue and makes its device current. */
int enter_queue(const struct engram_cuda_queue *on);

/* Makes a device current. */
int enter_device(int device);

/* Allocating and freeing would end the capture of a graph that some other thread is making. */
struct beside_captures {
  cudaStreamCaptureMode mode = cudaStreamCaptureModeRelaxed;
  beside_captures() {
    cudaThreadExchangeStreamCaptureMode(&mode);
  }
  ~beside_captures() {
    cudaThreadExchangeStreamCaptureMode(&mode);
  }
};

#endif
