/* The C interface: checks, launches and errors. Compiled by nvcc, or with fibers.h by a C++
 * compiler. */
#include <stdint.h>
#include <stdio.h>

#include "gate.h"
#include "gather.h"
#include "hash.h"

#if defined(__CUDACC__)
#define ENGRAM_LAUNCH(kernel, grid, threads, stream, ...) \
  kernel<<<grid, threads, 0, stream>>>(__VA_ARGS__)
#endif

/* Enough blocks to fill any card; threads go on from there in strides. */
#define MOST_BLOCKS 4096
/* What one registration takes. */
#define CHUNK (64LL << 30)

static thread_local char detail[512] = "";

static int cuda(cudaError_t error, const char *what) {
  if (error == cudaSuccess) {
    return ENGRAM_OK;
  }
  snprintf(detail, sizeof detail, "%s: %s (CUDA error %d)", what, cudaGetErrorString(error),
           (int)error);
  return ENGRAM_CUDA_ERROR_CUDA;
}

static int argument(const char *what) {
  snprintf(detail, sizeof detail, "%s", what);
  return ENGRAM_ERROR_ARGUMENT;
}

static int structure(const char *what) {
  snprintf(detail, sizeof detail, "struct %s has another size in this library", what);
  return ENGRAM_ERROR_STRUCT;
}

static unsigned blocks(long long work, int a_block) {
  long long wanted = (work + a_block - 1) / a_block;
  return (unsigned)(wanted < MOST_BLOCKS ? wanted : MOST_BLOCKS);
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
    return argument("count is null");
  }
  *count = 0;
  int found = 0; /* left as it is where there is no driver */
  cudaError_t error = cudaGetDeviceCount(&found);
  if (error != cudaSuccess || found == 0) {
    cuda(error, "counting devices");
    cudaGetLastError(); /* it would show in the next call */
    return ENGRAM_CUDA_ERROR_UNAVAILABLE;
  }
  *count = found;
  return ENGRAM_OK;
}

static int unregister_chunks(char *host, long long bytes) {
  int status = ENGRAM_OK;
  for (long long at = 0; at < bytes; at += CHUNK) {
    int one = cuda(cudaHostUnregister(host + at), "unregistering memory of the host");
    status = status == ENGRAM_OK ? one : status;
  }
  return status;
}

int engram_cuda_register(int device, void *host, long long bytes, void **address) {
  if (!host || bytes < 1 || !address) {
    return argument("memory or the place for its address is null, or has no bytes");
  }
  int status = cuda(cudaSetDevice(device), "choosing the device");
  char *start = (char *)host;
  for (long long at = 0; status == ENGRAM_OK && at < bytes; at += CHUNK) {
    long long some = bytes - at < CHUNK ? bytes - at : CHUNK;
    status = cuda(cudaHostRegister(start + at, (size_t)some, cudaHostRegisterMapped),
                  "registering memory of the host");
    if (status != ENGRAM_OK) {
      char reason[sizeof detail];
      memcpy(reason, detail, sizeof detail);
      unregister_chunks(start, at);
      memcpy(detail, reason, sizeof detail);
    }
  }
  return status != ENGRAM_OK ? status
                             : cuda(cudaHostGetDevicePointer(address, host, 0),
                                    "asking for the device's address of registered memory");
}

int engram_cuda_unregister(int device, void *host, long long bytes) {
  if (!host || bytes < 1) {
    return argument("memory is null or has no bytes");
  }
  int status = cuda(cudaSetDevice(device), "choosing the device");
  return status != ENGRAM_OK ? status : unregister_chunks((char *)host, bytes);
}

int engram_cuda_synchronize(int device, void *stream) {
  int status = cuda(cudaSetDevice(device), "choosing the device");
  return status != ENGRAM_OK
             ? status
             : cuda(cudaStreamSynchronize((cudaStream_t)stream), "waiting for the stream");
}

int engram_cuda_hash(int device, void *stream, const struct engram_cuda_layouts *layouts,
                     const int *windows, long long tokens, long long *row_ids) {
  if (!layouts || !windows || !row_ids || tokens < 0) {
    return argument("hash: a pointer is null or tokens are negative");
  }
  if (layouts->struct_size != (int)sizeof *layouts) {
    return structure("engram_cuda_layouts");
  }
  if (layouts->layers < 1 || layouts->max_ngram < 2 || layouts->max_ngram > 64 ||
      layouts->heads < 1 || !layouts->multipliers || !layouts->primes || !layouts->offsets) {
    return argument("hash: layers, n-gram or heads are out of range, or their numbers are null");
  }
  int status = cuda(cudaSetDevice(device), "choosing the device");
  if (status != ENGRAM_OK || tokens == 0) {
    return status;
  }
  long long all = layouts->layers * tokens * (layouts->max_ngram - 1) * layouts->heads;
  ENGRAM_LAUNCH(hash_kernel, blocks(all, ENGRAM_THREADS), ENGRAM_THREADS, (cudaStream_t)stream,
                *layouts, windows, tokens, row_ids);
  return cuda(cudaGetLastError(), "launching hash");
}

static bool is_wide(const struct engram_table *table) {
  uintptr_t places = (uintptr_t)table->weight | (uintptr_t)table->weight_stride;
  return table->type == ENGRAM_F8_E4M3 && table->head_dim % LANE_CODES == 0 &&
         places % LANE_CODES == 0;
}

int engram_cuda_gather(int device, void *stream, const struct engram_table *table,
                       const long long *row_ids, long long count, void *out, int out_type,
                       long long *bad) {
  if (!table || !row_ids || !out || count < 0) {
    return argument("gather: a pointer is null or the count is negative");
  }
  if (table->struct_size != (int)sizeof *table) {
    return structure("engram_table");
  }
  if (table->type < ENGRAM_F32 || table->type > ENGRAM_F8_E4M3 || table->head_dim < 1 ||
      table->rows < 0 || !table->weight || (table->type == ENGRAM_F8_E4M3 && !table->scale) ||
      (out_type != ENGRAM_F32 && out_type != ENGRAM_BF16)) {
    return argument("gather: a type or size is out of range, or the table's memory is null");
  }
  int status = cuda(cudaSetDevice(device), "choosing the device");
  if (status != ENGRAM_OK || count == 0) {
    return status;
  }
  ENGRAM_LAUNCH(gather_kernel, blocks(count, ENGRAM_THREADS / ENGRAM_WARP), ENGRAM_THREADS,
                (cudaStream_t)stream, *table, is_wide(table), row_ids, count, (unsigned char *)out,
                out_type, bad);
  return cuda(cudaGetLastError(), "launching gather");
}

int engram_cuda_gate(int device, void *stream, const struct engram_gate_weights *gate,
                     const float *kv, void *hidden, int type, long long token_stride,
                     long long branch_stride, const signed char *mask, long long tokens,
                     float *gates, float *gated) {
  if (!gate || !kv || !hidden || !mask || !gates || tokens < 0 || token_stride < 0 ||
      branch_stride < 0 || (type != ENGRAM_F32 && type != ENGRAM_BF16)) {
    return argument(
        "gate: a pointer is null, a count or stride is negative, or the type is unknown");
  }
  if (gate->struct_size != (int)sizeof *gate) {
    return structure("engram_gate_weights");
  }
  if (gate->branches < 1 || gate->hidden < 1 || !gate->product ||
      tokens > INT32_MAX / gate->branches) {
    return argument("gate: branches, width or tokens are out of range, or the weights are null");
  }
  int status = cuda(cudaSetDevice(device), "choosing the device");
  if (status != ENGRAM_OK || tokens == 0) {
    return status;
  }
  ENGRAM_LAUNCH(gate_kernel, (unsigned)(tokens * gate->branches), ENGRAM_THREADS,
                (cudaStream_t)stream, *gate, kv, (unsigned char *)hidden, type, token_stride,
                branch_stride, mask, gates, gated);
  return cuda(cudaGetLastError(), "launching gate");
}
