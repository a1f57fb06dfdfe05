/*
 * CUDA's runtime for a machine without a GPU: one device, whose memory is the host's. Streams are
 * lazy: what is queued runs only when somebody waits for it, so that work which should have waited
 * for another stream, or memory that was written again too early, shows every time and not now and
 * then. Freeing waits for nothing, as CUDA promises no more: what is queued still then faults.
 * Allocations end close to an unreadable page.
 */
#ifndef ENGRAM_CUDA_RUNTIME_H
#define ENGRAM_CUDA_RUNTIME_H

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>

#include "shim.h"

typedef int cudaError_t;
typedef struct shim_stream *cudaStream_t;
typedef struct shim_event *cudaEvent_t;
#define CUDART_VERSION 13000
struct cudaDeviceProp {
  char name[256];
  int major, minor, multiProcessorCount;
  size_t totalGlobalMem;
};
enum {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorMemoryAllocation = 2,
  cudaErrorInsufficientDriver = 35,
  cudaErrorInvalidDevice = 101,
  cudaErrorHostMemoryAlreadyRegistered = 712,
  cudaErrorHostMemoryNotRegistered = 713,
  cudaErrorStreamCaptureUnsupported = 900,
  cudaErrorStreamCaptureInvalidated = 901,
  cudaHostRegisterPortable = 1,
  cudaHostRegisterMapped = 2,
  cudaHostRegisterReadOnly = 8,
  cudaDevAttrHostRegisterReadOnlySupported = 112,
  cudaStreamNonBlocking = 1,
  cudaEventDisableTiming = 2,
  cudaMemcpyDefault = 4,
};

/* What a stream is asked while it is captured (graph.h). */
struct shim_graph {
  std::deque<std::function<void()>> work;
  bool broken = false;
};

struct shim_stream {
  std::deque<std::function<void()>> work;
  std::shared_ptr<shim_graph> capture; /* or null */
  long long queued = 0;
  long long done = 0;
};
typedef std::shared_ptr<shim_stream> shim_stream_ref;

struct shim_event {
  shim_stream_ref stream;
  long long after = 0; /* how much of the stream's work it follows */
};

/* All of a process, under one lock. */
struct shim_state {
  std::recursive_mutex lock;
  std::map<shim_stream *, shim_stream_ref> streams;
  std::map<char *, size_t> device; /* allocations */
  std::map<char *, size_t> host;
  std::map<char *, size_t> registered;
  long long counts[SHIM_COUNTS] = {};
  long long fail_after = -1; /* calls that still succeed */
  int fail_with = 0;
  bool fail_on = false; /* once, or from then on */
};
inline shim_state &shim() {
  static shim_state *state = new shim_state; /* outlives threads that end late */
  return *state;
}
typedef std::lock_guard<std::recursive_mutex> shim_guard;

/* What an ordered failure makes of a call. */
inline cudaError_t shim_call() {
  shim_state &s = shim();
  if (s.fail_after < 0) {
    return cudaSuccess;
  }
  if (s.fail_after > 0) {
    s.fail_after--;
    return cudaSuccess;
  }
  s.fail_after = s.fail_on ? 0 : -1;
  return s.fail_with;
}

#define SHIM_ENTER()                \
  shim_guard guard(shim().lock);    \
  cudaError_t failed = shim_call(); \
  if (failed != cudaSuccess) {      \
    return failed;                  \
  }

inline shim_stream_ref shim_find(cudaStream_t stream) {
  shim_state &s = shim();
  shim_stream_ref &ref = s.streams[stream];
  if (!ref) {
    ref = std::make_shared<shim_stream>(); /* the default stream */
  }
  return ref;
}

inline void shim_run(shim_stream_ref stream, long long until) {
  while (stream->done < until && !stream->work.empty()) {
    std::function<void()> next = stream->work.front();
    stream->work.pop_front();
    next();
    stream->done++;
  }
}

inline void shim_queue(cudaStream_t stream, int kind, const std::function<void()> &work) {
  shim_guard guard(shim().lock);
  shim().counts[kind]++;
  shim_stream_ref to = shim_find(stream);
  if (to->capture) {
    to->capture->work.push_back(work);
    return;
  }
  to->work.push_back(work);
  to->queued++;
}

/* What must not be done to a stream that is captured; it ends the capture. */
inline bool shim_breaks(shim_stream_ref stream) {
  if (stream->capture) {
    stream->capture->broken = true;
  }
  return (bool)stream->capture;
}

typedef int cudaStreamCaptureMode;
enum { cudaStreamCaptureModeGlobal = 0, cudaStreamCaptureModeRelaxed = 2 };
inline thread_local cudaStreamCaptureMode shim_mode = cudaStreamCaptureModeGlobal;
inline cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode *mode) {
  cudaStreamCaptureMode old = shim_mode;
  shim_mode = *mode;
  *mode = old;
  return cudaSuccess;
}

/* Allocating and freeing end every capture, but for threads that take it on themselves. */
inline bool shim_breaks_all() {
  bool broken = false;
  for (auto &each : shim().streams) {
    broken |= shim_mode != cudaStreamCaptureModeRelaxed && shim_breaks(each.second);
  }
  return broken;
}

/* Memory that ends, but for alignment, at a page that cannot be touched. */
inline char *shim_map(size_t bytes) {
  size_t inner = (bytes + 4095) / 4096 * 4096;
  char *map = (char *)mmap(NULL, inner + 4096, PROT_NONE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (map == MAP_FAILED || mprotect(map, inner, PROT_READ | PROT_WRITE) != 0) {
    return NULL;
  }
  return map + (inner - bytes) / 16 * 16;
}

inline cudaError_t shim_allocate(std::map<char *, size_t> &into, void **memory, size_t bytes) {
  if (shim_breaks_all()) {
    return cudaErrorStreamCaptureUnsupported;
  }
  if (bytes > SHIM_MEMORY) {
    return cudaErrorMemoryAllocation;
  }
  char *made = shim_map(bytes);
  if (!made) {
    return cudaErrorMemoryAllocation;
  }
  shim().counts[SHIM_ALLOCATION]++;
  into[made] = bytes;
  *memory = made;
  return cudaSuccess;
}

inline cudaError_t shim_release(std::map<char *, size_t> &from, void *memory) {
  if (shim_breaks_all()) {
    return cudaErrorStreamCaptureUnsupported;
  }
  auto found = from.find((char *)memory);
  if (found == from.end()) {
    return cudaErrorInvalidValue;
  }
  size_t inner = (found->second + 4095) / 4096 * 4096;
  munmap((void *)((uintptr_t)found->first / 4096 * 4096), inner + 4096);
  from.erase(found);
  return cudaSuccess;
}

inline cudaError_t cudaSetDevice(int device) {
  SHIM_ENTER()
  return device == 0 ? cudaSuccess : cudaErrorInvalidDevice;
}
inline cudaError_t cudaGetDevice(int *device) {
  SHIM_ENTER()
  *device = 0;
  return cudaSuccess;
}
inline cudaError_t cudaGetDeviceCount(int *count) {
  SHIM_ENTER()
  *count = 1;
  return cudaSuccess;
}
inline cudaError_t cudaGetDeviceProperties(cudaDeviceProp *about, int) {
  SHIM_ENTER()
  memset(about, 0, sizeof *about);
  strcpy(about->name, "shim on the CPU");
  about->multiProcessorCount = 4;
  about->totalGlobalMem = SHIM_MEMORY;
  return cudaSuccess;
}
inline cudaError_t cudaDeviceGetAttribute(int *value, int, int) {
  SHIM_ENTER()
  *value = 1;
  return cudaSuccess;
}
inline cudaError_t cudaDriverGetVersion(int *version) {
  SHIM_ENTER()
  *version = 0;
  return cudaSuccess;
}
inline cudaError_t cudaMemGetInfo(size_t *left, size_t *total) {
  SHIM_ENTER()
  *total = *left = SHIM_MEMORY;
  for (auto &each : shim().device) {
    *left -= each.second;
  }
  return cudaSuccess;
}
inline cudaError_t cudaMalloc(void **memory, size_t bytes) {
  SHIM_ENTER()
  return shim_allocate(shim().device, memory, bytes);
}
inline cudaError_t cudaFree(void *memory) {
  SHIM_ENTER()
  return shim_release(shim().device, memory);
}
inline cudaError_t cudaMallocHost(void **memory, size_t bytes) {
  SHIM_ENTER()
  return shim_allocate(shim().host, memory, bytes);
}
inline cudaError_t cudaFreeHost(void *memory) {
  SHIM_ENTER()
  return shim_release(shim().host, memory);
}
inline cudaError_t cudaHostRegister(void *memory, size_t bytes, unsigned) {
  SHIM_ENTER()
  char *from = (char *)memory;
  for (auto &each : shim().registered) {
    if (from < each.first + each.second && each.first < from + bytes) {
      return cudaErrorHostMemoryAlreadyRegistered;
    }
  }
  shim().registered[from] = bytes;
  return cudaSuccess;
}
inline cudaError_t cudaHostUnregister(void *memory) {
  SHIM_ENTER()
  return shim().registered.erase((char *)memory) ? cudaSuccess : cudaErrorHostMemoryNotRegistered;
}
inline cudaError_t cudaHostGetDevicePointer(void **address, void *host, unsigned) {
  SHIM_ENTER()
  for (auto &each : shim().registered) {
    if (each.first <= (char *)host && (char *)host < each.first + each.second) {
      *address = host;
      return cudaSuccess;
    }
  }
  return cudaErrorHostMemoryNotRegistered;
}
inline cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned) {
  SHIM_ENTER()
  shim_stream_ref made = std::make_shared<shim_stream>();
  shim().streams[made.get()] = made;
  *stream = made.get();
  return cudaSuccess;
}
inline cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  SHIM_ENTER()
  shim_stream_ref found = shim_find(stream);
  shim_run(found, found->queued);
  shim().streams.erase(stream);
  return cudaSuccess;
}
inline cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  SHIM_ENTER()
  shim().counts[SHIM_WAIT]++;
  shim_stream_ref found = shim_find(stream);
  if (shim_breaks(found)) {
    return cudaErrorStreamCaptureUnsupported;
  }
  shim_run(found, found->queued);
  return cudaSuccess;
}
inline cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned) {
  SHIM_ENTER()
  *event = new shim_event;
  shim().counts[SHIM_EVENTS]++;
  return cudaSuccess;
}
inline cudaError_t cudaEventDestroy(cudaEvent_t event) {
  SHIM_ENTER()
  delete event;
  shim().counts[SHIM_EVENTS]--;
  return cudaSuccess;
}
inline cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  SHIM_ENTER()
  if (shim_breaks(shim_find(stream))) { /* CUDA allows it, but no part of the library needs it */
    return cudaErrorStreamCaptureUnsupported;
  }
  event->stream = shim_find(stream);
  event->after = event->stream->queued;
  return cudaSuccess;
}
inline cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  SHIM_ENTER()
  shim_event mark = *event; /* as it was recorded last */
  if (shim_breaks(shim_find(stream))) {
    return cudaErrorStreamCaptureUnsupported;
  }
  if (mark.stream) {
    shim_queue(stream, SHIM_OTHER, [mark] { shim_run(mark.stream, mark.after); });
  }
  return cudaSuccess;
}
inline cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  SHIM_ENTER()
  shim_event mark = *event;
  if (mark.stream && mark.stream->done < mark.after) {
    shim().counts[SHIM_WAIT]++;
    shim_run(mark.stream, mark.after);
  }
  return cudaSuccess;
}
inline cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, int,
                                   cudaStream_t stream) {
  SHIM_ENTER()
  shim_queue(stream, SHIM_OTHER, [=] { memcpy(to, from, bytes); });
  return cudaSuccess;
}
inline cudaError_t cudaMemsetAsync(void *to, int byte, size_t bytes, cudaStream_t stream) {
  SHIM_ENTER()
  shim_queue(stream, SHIM_OTHER, [=] { memset(to, byte, bytes); });
  return cudaSuccess;
}
inline cudaError_t cudaGetLastError() {
  SHIM_ENTER()
  return cudaSuccess;
}
inline const char *cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaErrorInvalidValue:
      return "invalid argument";
    case cudaErrorMemoryAllocation:
      return "out of memory";
    case cudaErrorInvalidDevice:
      return "invalid device ordinal";
    case cudaErrorHostMemoryAlreadyRegistered:
      return "part or all of the requested memory range is already mapped";
    case cudaErrorHostMemoryNotRegistered:
      return "pointer does not correspond to a registered memory region";
    default:
      return error == cudaSuccess ? "no error" : "an ordered error";
  }
}

#endif
