/*
 * Engram on an NVIDIA GPU: the stages hash, gather, project, gate and conv on memory and streams
 * that may belong to somebody else. A library of its own, loaded beside the CPU's; it needs a
 * driver only when it is called.
 *
 * Every function makes its device current for the calling thread, as Java's threads come and go,
 * and leaves it so. A context of somebody else's that is current on that device is kept: pointers
 * and streams are then of that one. Numbers lie at multiples of their size, but for tables, whose
 * rows may lie anywhere.
 *
 * The stages are queued on the caller's stream, wait for nothing and allocate nothing, so they can
 * be captured into a CUDA graph. Structs lie in the host's memory and are read before a call
 * returns; every pointer in them and every buffer is one that the device can read: its own memory,
 * pinned or registered memory of the host, or managed memory.
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
#define ENGRAM_CUDA_ABI 5

/* Status codes beside those of engram.h; engram_cuda_detail has the reason. */
#define ENGRAM_CUDA_ERROR_UNAVAILABLE -10 /* no driver, or no device */
#define ENGRAM_CUDA_ERROR_CUDA -11        /* CUDA reported an error */

/* Where work is queued. */
struct engram_cuda_queue {
  int struct_size;
  int device;
  void *stream;    /* a cudaStream_t or CUstream, null for the default stream */
  int most_blocks; /* of a launch, to leave the rest of the device to others; 0: all it takes */
  int reserved;
};

/* What a device is. */
struct engram_cuda_device {
  int struct_size;
  int major; /* compute capability */
  int minor;
  int processors; /* streaming multiprocessors */
  int driver;     /* CUDA version of the driver, such as 13000 */
  int reserved;
  long long memory; /* bytes */
  char name[256];
};

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

/* Rows of a table that are wanted often, in the device's memory. */
struct engram_cuda_cache {
  int struct_size;
  int ways;             /* slots of a set, 1 to 32 */
  long long sets;       /* a power of two */
  long long *tags;      /* [sets, ways], all bits set where a slot is empty */
  void *rows;           /* [sets, ways], each a row's elements, then its scales */
  long long row_stride; /* bytes from one slot to the next */
  long long *counts;    /* [2]: rows found so far, and not found */
};

/* Returns ENGRAM_CUDA_ABI as this library was built. */
ENGRAM_API int engram_cuda_abi(void);

/* Returns a static text for a status code. */
ENGRAM_API const char *engram_cuda_status_text(int status);

/* Returns what went wrong in the calling thread's last call that failed; valid until the next. */
ENGRAM_API const char *engram_cuda_detail(void);

/* Writes the number of devices, or returns ENGRAM_CUDA_ERROR_UNAVAILABLE. */
ENGRAM_API int engram_cuda_devices(int *count);

/* Describes a device; struct_size is the caller's to set. */
ENGRAM_API int engram_cuda_describe(int device, struct engram_cuda_device *about);

/* Writes how many bytes of the device's memory are free. */
ENGRAM_API int engram_cuda_free_memory(int device, long long *bytes);

/* The device's memory, and memory of the host that it reads without copies. */
ENGRAM_API int engram_cuda_allocate(int device, long long bytes, void **memory);
ENGRAM_API int engram_cuda_free(int device, void *memory);
ENGRAM_API int engram_cuda_allocate_host(int device, long long bytes, void **memory);
ENGRAM_API int engram_cuda_free_host(int device, void *memory);

/*
 * Makes memory of the host, such as a mapped table, readable by a device without copies, in chunks:
 * single registrations beyond half a terabyte fail with some drivers. The address is that under
 * which the device reads it. Whole pages are registered, each only once, so ranges that share a
 * page must be given as one. If a chunk is refused, those before are taken back.
 *   read_only  1 if the memory cannot be written, such as a file mapped for reading
 */
ENGRAM_API int engram_cuda_register(int device, void *host, long long bytes, int read_only,
                                    void **address);
ENGRAM_API int engram_cuda_unregister(int device, void *host, long long bytes);

/* Writes where a device reads memory that is registered, for whichever device that was done. */
ENGRAM_API int engram_cuda_registered(int device, void *host, void **address);

/* A stream that waits for no other. */
ENGRAM_API int engram_cuda_stream_create(int device, void **stream);
ENGRAM_API int engram_cuda_stream_destroy(int device, void *stream);
/* Waits for a stream; its errors, such as of a wrong address, show here. */
ENGRAM_API int engram_cuda_synchronize(int device, void *stream);

/* Events: a mark in a stream, for which another stream or the caller can wait. */
ENGRAM_API int engram_cuda_event_create(int device, void **event);
ENGRAM_API int engram_cuda_event_destroy(int device, void *event);
ENGRAM_API int engram_cuda_event_record(const struct engram_cuda_queue *on, void *event);
ENGRAM_API int engram_cuda_event_wait(const struct engram_cuda_queue *on, void *event);
ENGRAM_API int engram_cuda_event_synchronize(int device, void *event);

/* Copies between any two places that the device can reach; fills with a byte. */
ENGRAM_API int engram_cuda_copy(const struct engram_cuda_queue *on, void *to, const void *from,
                                long long bytes);
ENGRAM_API int engram_cuda_fill(const struct engram_cuda_queue *on, void *to, int byte,
                                long long bytes);

/*
 * Stage hash of all layers in one launch.
 *   windows [tokens, max_ngram] int32
 *   row_ids [layers, tokens, columns] int64, written
 */
ENGRAM_API int engram_cuda_hash(const struct engram_cuda_queue *on,
                                const struct engram_cuda_layouts *layouts, const int *windows,
                                long long tokens, long long *row_ids);

/*
 * Stage gather.
 *   cache   null, or where rows are looked for first
 *   row_ids [count] int64; -1 gives zeros
 *   out     [count, head_dim] of out_type, ENGRAM_F32 or ENGRAM_BF16
 *   bad     null, or where the index of some id that is outside the table is written; its row is
 *           zeros, and nothing outside the table is read
 */
ENGRAM_API int engram_cuda_gather(const struct engram_cuda_queue *on,
                                  const struct engram_table *table,
                                  const struct engram_cuda_cache *cache, const long long *row_ids,
                                  long long count, void *out, int out_type, long long *bad);

/*
 * Stage gather without widening, of F8_E4M3: codes and scales as a block-scaled matrix product
 * takes them. A token is `columns` rows side by side, so count must be a multiple of it, and
 * head_dim of 32 if columns are more than 1.
 *   codes   [count / columns, columns * head_dim]
 *   scales  e8m0 [count / columns, columns * head_dim / 32], as rows or in cuBLAS's tiles of 128
 *           by 4, whose rest is not written
 */
#define ENGRAM_CUDA_SCALES_ROWS 0
#define ENGRAM_CUDA_SCALES_TILES 1
ENGRAM_API int engram_cuda_copy_rows(const struct engram_cuda_queue *on,
                                     const struct engram_table *table, const long long *row_ids,
                                     long long count, int columns, void *codes, void *scales,
                                     int scale_layout, long long *bad);

/*
 * Puts rows into a cache. Must not overlap a gather from it: queue both on one stream. Ids outside
 * the table are left out.
 *   stay  1: into empty slots only, and for good; 0: may replace what is not there for good
 */
ENGRAM_API int engram_cuda_insert(const struct engram_cuda_queue *on,
                                  const struct engram_table *table,
                                  const struct engram_cuda_cache *cache, const long long *row_ids,
                                  long long count, int stay);

/*
 * Stage project, for few tokens: weights are read once per 8 of them. As engram_project; in is of
 * in_type, ENGRAM_F32 or ENGRAM_BF16.
 */
ENGRAM_API int engram_cuda_project(const struct engram_cuda_queue *on,
                                   const struct engram_linear *linear, const void *in, int in_type,
                                   long long tokens, int first, int count, float *out,
                                   long long out_stride);

/* Stage gate; as engram_gate. kv is of kv_type, ENGRAM_F32 or ENGRAM_BF16. */
ENGRAM_API int engram_cuda_gate(const struct engram_cuda_queue *on,
                                const struct engram_gate_weights *gate, const void *kv, int kv_type,
                                void *hidden, int type, long long token_stride,
                                long long branch_stride, const signed char *mask, long long tokens,
                                float *gates, float *gated);

/* Stage conv; as engram_conv. */
ENGRAM_API int engram_cuda_conv(const struct engram_cuda_queue *on,
                                const struct engram_conv_weights *conv, float *gated, float *window,
                                long long first, const signed char *mask, long long tokens,
                                void *hidden, int type, long long token_stride,
                                long long branch_stride);

#ifdef __cplusplus
}
#endif
#endif
