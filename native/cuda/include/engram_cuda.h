/*
 * Engram on an NVIDIA GPU: the stages hash, gather and gate on memory and streams that belong to
 * somebody else. A library of its own, loaded beside the CPU's; it needs a driver only when it is
 * called.
 *
 * Every function that takes a device makes it current for the calling thread, as Java's threads
 * come and go. Work is queued on the caller's stream and nothing waits for it; nothing is
 * allocated, so calls can be captured into a CUDA graph. Structs lie in the host's memory and are
 * read before a call returns; every pointer in them and every buffer is one that the device can
 * read: its own memory, pinned or registered memory of the host, or managed memory.
 *
 * Shapes, types and meaning are those of engram.h.
 */
#ifndef ENGRAM_CUDA_H
#define ENGRAM_CUDA_H

#include "../../include/engram.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Compared exactly when the library is loaded. */
#define ENGRAM_CUDA_ABI 1

/* Status codes beside those of engram.h; engram_cuda_detail has the reason. */
#define ENGRAM_CUDA_ERROR_UNAVAILABLE -10 /* no driver, or no device */
#define ENGRAM_CUDA_ERROR_CUDA -11        /* CUDA reported an error */

/* How ids become row ids, for all layers of a model. Columns are ordered by n-gram order, then
 * head. */
struct engram_cuda_layouts {
  int struct_size;
  int layers;
  int max_ngram;                /* 2 to 64 */
  int heads;                    /* per order */
  const long long *multipliers; /* [layers, max_ngram] */
  const long long *primes;      /* [layers, (max_ngram - 1) * heads] */
  const long long *offsets;     /* as primes */
};

/* Returns ENGRAM_CUDA_ABI as this library was built. */
ENGRAM_API int engram_cuda_abi(void);

/* Returns a static text for a status code. */
ENGRAM_API const char *engram_cuda_status_text(int status);

/* Returns what went wrong in the calling thread's last call that failed; valid until the next. */
ENGRAM_API const char *engram_cuda_detail(void);

/* Writes the number of devices, or returns ENGRAM_CUDA_ERROR_UNAVAILABLE. */
ENGRAM_API int engram_cuda_devices(int *count);

/*
 * Makes memory of the host, such as a mapped table, readable by a device without copies, in chunks:
 * single registrations beyond half a terabyte fail with some drivers. The address is that under
 * which the device reads it. If a chunk is refused, those before are taken back.
 */
ENGRAM_API int engram_cuda_register(int device, void *host, long long bytes, void **address);
ENGRAM_API int engram_cuda_unregister(int device, void *host, long long bytes);

/* Waits for a stream; its errors, such as of a wrong address, show here. */
ENGRAM_API int engram_cuda_synchronize(int device, void *stream);

/*
 * Stage hash of all layers in one launch.
 *   windows [tokens, max_ngram] int32
 *   row_ids [layers, tokens, columns] int64, written
 */
ENGRAM_API int engram_cuda_hash(int device, void *stream, const struct engram_cuda_layouts *layouts,
                                const int *windows, long long tokens, long long *row_ids);

/*
 * Stage gather.
 *   row_ids [count] int64; -1 gives zeros
 *   out     [count, head_dim] of out_type, ENGRAM_F32 or ENGRAM_BF16
 *   bad     null, or where the index of some id that is outside the table is written; its row is
 *           zeros, and nothing outside the table is read
 */
ENGRAM_API int engram_cuda_gather(int device, void *stream, const struct engram_table *table,
                                  const long long *row_ids, long long count, void *out,
                                  int out_type, long long *bad);

/* Stage gate; as engram_gate. */
ENGRAM_API int engram_cuda_gate(int device, void *stream, const struct engram_gate_weights *gate,
                                const float *kv, void *hidden, int type, long long token_stride,
                                long long branch_stride, const signed char *mask, long long tokens,
                                float *gates, float *gated);

#ifdef __cplusplus
}
#endif
#endif
