/*
 * What tests ask of the shim beside the interface: that calls fail, and what was done. Only in the
 * library that a C++ compiler built.
 */
#ifndef ENGRAM_CUDA_SHIM_H
#define ENGRAM_CUDA_SHIM_H

#include "../../include/engram.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SHIM_MEMORY (16LL << 30) /* of the device */

enum {
  SHIM_LAUNCH,     /* kernels that were launched */
  SHIM_WAIT,       /* times that the caller waited for a stream or event */
  SHIM_ALLOCATION, /* of the device or pinned */
  SHIM_EVENTS,     /* events that exist */
  SHIM_OTHER,      /* copies, fills and waits that were queued */
  SHIM_COUNTS,
  /* of what exists now */
  SHIM_STREAMS = 100,
  SHIM_DEVICE_ALLOCATIONS,
  SHIM_HOST_ALLOCATIONS,
  SHIM_REGISTRATIONS,
};

ENGRAM_API long long engram_cuda_shim_count(int what);

/*
 * Lets CUDA's functions succeed so many times more and then fail: once, or from then on, as after
 * an illegal address or when a device is lost. A negative number ends it.
 */
ENGRAM_API void engram_cuda_shim_fail(long long after, int error, int from_then_on);

/* Forgets all that is held and was queued, as when a process ends after a device was lost. */
ENGRAM_API void engram_cuda_shim_reset(void);

#ifdef __cplusplus
}
#endif
#endif
