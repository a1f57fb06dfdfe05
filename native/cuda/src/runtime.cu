/* Errors, devices and memory of the interface. Compiled by nvcc, or with the shim by a C++
 * compiler. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "status.cuh"

/* What one registration takes. */
#define CHUNK (64LL << 30)
#define PAGE 4096

/* BindingsTest has the same numbers. */
static_assert(sizeof(struct engram_cuda_queue) == 24, "queue");
static_assert(offsetof(struct engram_cuda_queue, most_blocks) == 16, "queue");
static_assert(sizeof(struct engram_cuda_device) == 288, "device");
static_assert(sizeof(struct engram_cuda_layouts) == 40, "layouts");
static_assert(sizeof(struct engram_cuda_cache) == 48, "cache");
static_assert(offsetof(struct engram_cuda_cache, counts) == 40, "cache");

static thread_local char detail[512] = "";

int engram_cuda_status(cudaError_t error, const char *what) {
  if (error == cudaSuccess) {
    return ENGRAM_OK;
  }
  snprintf(detail, sizeof detail, "%s: %s (CUDA error %d)", what, cudaGetErrorString(error),
           (int)error);
  cudaGetLastError(); /* it would show in the next call */
  return ENGRAM_CUDA_ERROR_CUDA;
}

int engram_wrong_argument(const char *what) {
  snprintf(detail, sizeof detail, "%s", what);
  return ENGRAM_ERROR_ARGUMENT;
}

int engram_wrong_struct(const char *what) {
  snprintf(detail, sizeof detail, "struct %s has another size in this library", what);
  return ENGRAM_ERROR_STRUCT;
}

/* Setting a device takes its primary context, so it is done only where another is current. */
int engram_enter_device(int device) {
  int current = -1;
  if (cudaGetDevice(&current) == cudaSuccess && current == device) {
    return ENGRAM_OK;
  }
  return engram_cuda_status(cudaSetDevice(device), "choosing the device");
}

int engram_enter_queue(const struct engram_cuda_queue *on) {
  if (!on) {
    return engram_wrong_argument("the queue is null");
  }
  if (on->struct_size != (int)sizeof *on) {
    return engram_wrong_struct("engram_cuda_queue");
  }
  return on->most_blocks < 0 ? engram_wrong_argument("a queue's most blocks are negative")
                             : engram_enter_device(on->device);
}

int engram_cuda_abi(void) {
  return ENGRAM_CUDA_ABI;
}

const char *engram_cuda_status_text(int status) {
  switch (status) {
    case ENGRAM_CUDA_ERROR_UNAVAILABLE:
      return "no CUDA driver or no device";
    case ENGRAM_CUDA_ERROR_CUDA:
      return "CUDA reported an error";
    case ENGRAM_ERROR_ARGUMENT:
      return "an argument is null, negative or out of range";
    case ENGRAM_ERROR_STRUCT:
      return "a struct's size is not that of this library";
    default:
      return status == ENGRAM_OK ? "ok" : "unknown status";
  }
}

const char *engram_cuda_detail(void) {
  return detail;
}

int engram_cuda_devices(int *count) {
  if (!count) {
    return engram_wrong_argument("count is null");
  }
  *count = 0;
  int found = 0; /* left as it is where there is no driver */
  cudaError_t error = cudaGetDeviceCount(&found);
  if (error != cudaSuccess) {
    /* what CUDA says of a driver that is not there, or too old, tells nobody which it needs */
    char what[80] = "counting devices";
    if (error == cudaErrorInsufficientDriver) {
      snprintf(what, sizeof what, "there is no NVIDIA driver for CUDA %d or newer",
               CUDART_VERSION / 1000);
    }
    engram_cuda_status(error, what);
    return ENGRAM_CUDA_ERROR_UNAVAILABLE;
  }
  if (found == 0) {
    engram_wrong_argument("there is a driver, but no device");
    return ENGRAM_CUDA_ERROR_UNAVAILABLE;
  }
  *count = found;
  return ENGRAM_OK;
}

int engram_cuda_describe(int device, struct engram_cuda_device *about) {
  if (!about) {
    return engram_wrong_argument("the place for the description is null");
  }
  if (about->struct_size != (int)sizeof *about) {
    return engram_wrong_struct("engram_cuda_device");
  }
  cudaDeviceProp found;
  int status = engram_cuda_status(cudaGetDeviceProperties(&found, device), "describing the device");
  if (status == ENGRAM_OK) {
    status =
        engram_cuda_status(cudaDriverGetVersion(&about->driver), "asking for the driver's version");
  }
  if (status == ENGRAM_OK) {
    about->major = found.major;
    about->minor = found.minor;
    about->processors = found.multiProcessorCount;
    about->memory = (long long)found.totalGlobalMem;
    snprintf(about->name, sizeof about->name, "%s", found.name);
  }
  return status;
}

int engram_cuda_free_memory(int device, long long *bytes) {
  if (!bytes) {
    return engram_wrong_argument("the place for the number of bytes is null");
  }
  int status = engram_enter_device(device);
  size_t left = 0;
  size_t total = 0;
  if (status == ENGRAM_OK) {
    status = engram_cuda_status(cudaMemGetInfo(&left, &total), "asking for free memory");
  }
  *bytes = (long long)left;
  return status;
}

static int allocation(cudaError_t error, const char *of, long long bytes) {
  char what[80];
  snprintf(what, sizeof what, "allocating %lld bytes of %s", bytes, of);
  return engram_cuda_status(error, what);
}

int engram_cuda_allocate(int device, long long bytes, void **memory) {
  engram_beside_captures guard;
  if (!memory || bytes < 1) {
    return engram_wrong_argument("the place for the memory is null, or no bytes are wanted");
  }
  int status = engram_enter_device(device);
  return status != ENGRAM_OK
             ? status
             : allocation(cudaMalloc(memory, (size_t)bytes), "the device's memory", bytes);
}

int engram_cuda_free(int device, void *memory) {
  engram_beside_captures guard;
  int status = engram_enter_device(device);
  return status != ENGRAM_OK ? status : engram_cuda_status(cudaFree(memory), "freeing memory");
}

int engram_cuda_allocate_host(int device, long long bytes, void **memory) {
  engram_beside_captures guard;
  if (!memory || bytes < 1) {
    return engram_wrong_argument("the place for the memory is null, or no bytes are wanted");
  }
  int status = engram_enter_device(device);
  return status != ENGRAM_OK
             ? status
             : allocation(cudaMallocHost(memory, (size_t)bytes), "pinned memory", bytes);
}

int engram_cuda_free_host(int device, void *memory) {
  engram_beside_captures guard;
  int status = engram_enter_device(device);
  return status != ENGRAM_OK ? status
                             : engram_cuda_status(cudaFreeHost(memory), "freeing pinned memory");
}

/* The whole pages around a range. */
static char *page_of(void *host) {
  return (char *)((uintptr_t)host / PAGE * PAGE);
}

static long long pages_of(void *host, long long bytes) {
  long long before = (long long)((uintptr_t)host % PAGE);
  return (before + bytes + PAGE - 1) / PAGE * PAGE;
}

static int unregister_chunks(char *pages, long long bytes) {
  int status = ENGRAM_OK;
  for (long long at = 0; at < bytes; at += CHUNK) {
    int one =
        engram_cuda_status(cudaHostUnregister(pages + at), "unregistering memory of the host");
    status = status == ENGRAM_OK ? one : status;
  }
  return status;
}

/* Registers one chunk; the device must see it where it saw the first, counted from the start. */
static int register_chunk(char *pages, long long at, long long bytes, unsigned flags,
                          char **address) {
  void *seen = NULL;
  int status = engram_cuda_status(cudaHostRegister(pages + at, (size_t)bytes, flags),
                                  "registering memory of the host");
  if (status != ENGRAM_OK) {
    return status;
  }
  status = engram_cuda_status(cudaHostGetDevicePointer(&seen, pages + at, 0),
                              "asking for the device's address of registered memory");
  if (status == ENGRAM_OK && at > 0 && (char *)seen != *address + at) {
    snprintf(detail, sizeof detail, "the device sees registered memory in pieces");
    status = ENGRAM_CUDA_ERROR_CUDA;
  }
  if (status != ENGRAM_OK) {
    char reason[sizeof detail];
    memcpy(reason, detail, sizeof detail);
    unregister_chunks(pages + at, bytes);
    memcpy(detail, reason, sizeof detail);
  } else if (at == 0) {
    *address = (char *)seen;
  }
  return status;
}

static unsigned register_flags(int device, int read_only) {
  int can = 0;
  if (read_only && cudaDeviceGetAttribute(&can, cudaDevAttrHostRegisterReadOnlySupported, device) !=
                       cudaSuccess) {
    can = 0;
  }
  return cudaHostRegisterMapped | cudaHostRegisterPortable | (can ? cudaHostRegisterReadOnly : 0);
}

int engram_cuda_register(int device, void *host, long long bytes, int read_only, void **address) {
  engram_beside_captures guard;
  if (!host || bytes < 1 || !address) {
    return engram_wrong_argument("memory or the place for its address is null, or has no bytes");
  }
  int status = engram_enter_device(device);
  if (status != ENGRAM_OK) {
    return status;
  }
  unsigned flags = register_flags(device, read_only);
  char *pages = page_of(host);
  long long all = pages_of(host, bytes);
  char *seen = NULL;
  for (long long at = 0; at < all; at += CHUNK) {
    long long some = all - at < CHUNK ? all - at : CHUNK;
    status = register_chunk(pages, at, some, flags, &seen);
    if (status != ENGRAM_OK) {
      char reason[sizeof detail];
      memcpy(reason, detail, sizeof detail);
      unregister_chunks(pages, at);
      memcpy(detail, reason, sizeof detail);
      return status;
    }
  }
  *address = seen + ((char *)host - pages);
  return ENGRAM_OK;
}

int engram_cuda_unregister(int device, void *host, long long bytes) {
  engram_beside_captures guard;
  if (!host || bytes < 1) {
    return engram_wrong_argument("memory is null or has no bytes");
  }
  int status = engram_enter_device(device);
  return status != ENGRAM_OK ? status : unregister_chunks(page_of(host), pages_of(host, bytes));
}

int engram_cuda_registered(int device, void *host, void **address) {
  if (!host || !address) {
    return engram_wrong_argument("memory or the place for its address is null");
  }
  int status = engram_enter_device(device);
  void *seen = NULL;
  if (status == ENGRAM_OK) {
    status = engram_cuda_status(cudaHostGetDevicePointer(&seen, page_of(host), 0),
                                "asking for the device's address of registered memory");
  }
  *address = status == ENGRAM_OK ? (char *)seen + ((char *)host - page_of(host)) : NULL;
  return status;
}
