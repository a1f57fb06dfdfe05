/* The stages of the interface: checks and launches. Compiled by nvcc, or with the shim by a C++
 * compiler. */
#include <stdint.h>

#include "conv.cuh"
#include "gate.cuh"
#include "gather.cuh"
#include "hash.cuh"
#include "project.cuh"
#include "status.cuh"

#if defined(__CUDACC__)
#define ENGRAM_LAUNCH(kernel, grid, threads, stream, ...) \
  kernel<<<grid, threads, 0, (cudaStream_t)(stream)>>>(__VA_ARGS__)
#define ENGRAM_LAUNCH_FLAT ENGRAM_LAUNCH /* of a kernel without barriers; the same here */
#endif

#define MISPLACED "a buffer does not begin, or is not laid out, at multiples of its elements' size"

/* Enough blocks to fill any card; threads go on from there in strides. */
#define MOST_BLOCKS 4096

static bool at_multiple(const void *place, int bytes) {
  return (uintptr_t)place % (uintptr_t)bytes == 0;
}

static unsigned blocks(const struct engram_cuda_queue *on, long long work, int a_block) {
  long long most = on->most_blocks > 0 ? on->most_blocks : MOST_BLOCKS;
  long long wanted = (work + a_block - 1) / a_block;
  return (unsigned)(wanted < most ? wanted : most);
}

int engram_cuda_hash(const struct engram_cuda_queue *on, const struct engram_cuda_layouts *layouts,
                     const int *windows, long long tokens, long long *row_ids) {
  if (!layouts || !windows || !row_ids || tokens < 0) {
    return engram_wrong_argument("hash: a pointer is null or tokens are negative");
  }
  if (layouts->struct_size != (int)sizeof *layouts) {
    return engram_wrong_struct("engram_cuda_layouts");
  }
  if (layouts->layers < 1 || layouts->max_ngram < 2 || layouts->max_ngram > 64 ||
      layouts->heads < 1 || !layouts->multipliers || !layouts->primes || !layouts->offsets) {
    return engram_wrong_argument(
        "hash: layers, n-gram or heads are out of range, or their numbers are null");
  }
  if (!at_multiple(windows, 4) || !at_multiple(row_ids, 8)) {
    return engram_wrong_argument(MISPLACED);
  }
  int status = engram_enter_queue(on);
  if (status != ENGRAM_OK || tokens == 0) {
    return status;
  }
  long long all = layouts->layers * tokens * (layouts->max_ngram - 1) * layouts->heads;
  ENGRAM_LAUNCH_FLAT(engram_hash_kernel, blocks(on, all, ENGRAM_THREADS), ENGRAM_THREADS,
                     on->stream, *layouts, windows, tokens, row_ids);
  return engram_cuda_status(cudaGetLastError(), "launching hash");
}

static int check_table(const struct engram_table *table, const long long *row_ids,
                       long long count) {
  if (!table || !row_ids || count < 0) {
    return engram_wrong_argument("the table or row ids are null, or their count is negative");
  }
  if (table->struct_size != (int)sizeof *table) {
    return engram_wrong_struct("engram_table");
  }
  if (!at_multiple(row_ids, 8)) {
    return engram_wrong_argument(MISPLACED);
  }
  const bool whole = table->weight && (table->scale || !engram_has_scales_beside(table->type)) &&
                     (table->bias || engram_row_block_bias_bytes(table->type) < 1);
  const bool held = table->shards ? table->shards > 0 && table->shard : whole;
  if (!engram_is_row_type(table->type) || table->head_dim < 1 || table->rows < 0 || !held) {
    return engram_wrong_argument("a table's type or size is out of range, or its memory is null");
  }
  return ENGRAM_OK;
}

static int scales_of(const struct engram_table *table) {
  return (int)engram_row_scale_bytes(table->type, table->head_dim);
}

static int biases_of(const struct engram_table *table) {
  return (int)engram_row_bias_bytes(table->type, table->head_dim);
}

static int row_bytes_of(const struct engram_table *table) {
  return (int)engram_row_bytes(table->type, table->head_dim);
}

static int check_cache(const struct engram_cuda_cache *cache, const struct engram_table *table) {
  if (cache->struct_size != (int)sizeof *cache) {
    return engram_wrong_struct("engram_cuda_cache");
  }
  if (cache->ways < 1 || cache->ways > 32 || cache->sets < 1 || (cache->sets & (cache->sets - 1)) ||
      !cache->tags || !cache->rows || !cache->counts ||
      cache->row_stride < row_bytes_of(table) + scales_of(table) + biases_of(table)) {
    return engram_wrong_argument(
        "a cache's ways, sets or stride are out of range, or its memory is null");
  }
  return ENGRAM_OK;
}

int engram_cuda_gather(const struct engram_cuda_queue *on, const struct engram_table *table,
                       const struct engram_cuda_cache *cache, const long long *row_ids,
                       long long count, void *out, int out_type, long long *bad) {
  int status = check_table(table, row_ids, count);
  if (status == ENGRAM_OK && cache) {
    status = check_cache(cache, table);
  }
  if (status != ENGRAM_OK) {
    return status;
  }
  if (!out || (out_type != ENGRAM_F32 && out_type != ENGRAM_BF16)) {
    return engram_wrong_argument("gather: the output is null or of another type than F32 and BF16");
  }
  if (!at_multiple(out, out_type == ENGRAM_F32 ? 4 : 2) || !at_multiple(bad, 8)) {
    return engram_wrong_argument(MISPLACED);
  }
  status = engram_enter_queue(on);
  if (status != ENGRAM_OK || count == 0) {
    return status;
  }
  struct engram_cuda_cache found = {};
  if (cache) {
    found = *cache;
  }
  ENGRAM_LAUNCH_FLAT(engram_gather_kernel, blocks(on, count, ENGRAM_WARPS), ENGRAM_THREADS,
                     on->stream, *table, found, row_ids, count, out, out_type, bad);
  return engram_cuda_status(cudaGetLastError(), "launching gather");
}

int engram_cuda_copy_rows(const struct engram_cuda_queue *on, const struct engram_table *table,
                          const long long *row_ids, long long count, int columns, void *codes,
                          void *scales, int scale_layout, long long *bad) {
  int status = check_table(table, row_ids, count);
  if (status != ENGRAM_OK) {
    return status;
  }
  if (!codes || !scales || table->type != ENGRAM_F8_E4M3 || columns < 1 || count % columns ||
      (columns > 1 && table->head_dim % ENGRAM_BLOCK) || scale_layout < ENGRAM_CUDA_SCALES_ROWS ||
      scale_layout > ENGRAM_CUDA_SCALES_TILES) {
    return engram_wrong_argument(
        "copy rows: an output is null, the table is not fp8, or columns or layout do not fit");
  }
  status = engram_enter_queue(on);
  if (status != ENGRAM_OK || count == 0) {
    return status;
  }
  ENGRAM_LAUNCH_FLAT(engram_copy_rows_kernel, blocks(on, count, ENGRAM_WARPS), ENGRAM_THREADS,
                     on->stream, *table, row_ids, count, columns, (unsigned char *)codes,
                     (unsigned char *)scales, scale_layout, bad);
  return engram_cuda_status(cudaGetLastError(), "launching the copy of rows");
}

int engram_cuda_insert(const struct engram_cuda_queue *on, const struct engram_table *table,
                       const struct engram_cuda_cache *cache, const long long *row_ids,
                       long long count, int stay) {
  int status = check_table(table, row_ids, count);
  if (status == ENGRAM_OK) {
    status = cache ? check_cache(cache, table) : engram_wrong_argument("insert: the cache is null");
  }
  if (status == ENGRAM_OK) {
    status = engram_enter_queue(on);
  }
  if (status != ENGRAM_OK || count == 0) {
    return status;
  }
  ENGRAM_LAUNCH(engram_insert_kernel, blocks(on, count, ENGRAM_WARPS), ENGRAM_THREADS, on->stream,
                *table, *cache, row_bytes_of(table), scales_of(table), biases_of(table), row_ids,
                count, stay);
  return engram_cuda_status(cudaGetLastError(), "launching the insertion of rows");
}

int engram_cuda_project(const struct engram_cuda_queue *on, const struct engram_linear *linear,
                        const void *in, int in_type, long long tokens, int first, int count,
                        float *out, long long out_stride) {
  if (!linear || !in || !out || tokens < 0 || first < 0 || count < 0 ||
      (in_type != ENGRAM_F32 && in_type != ENGRAM_BF16)) {
    return engram_wrong_argument(
        "project: a pointer is null, a count negative or the type unknown");
  }
  if (linear->struct_size != (int)sizeof *linear) {
    return engram_wrong_struct("engram_linear");
  }
  if (linear->outputs < 1 || linear->inputs < 1 || !linear->weight ||
      first > linear->outputs - count || out_stride < count ||
      engram_row_is_weight(linear->type) != 1 ||
      (engram_has_scales_beside(linear->type) && !linear->scale)) {
    return engram_wrong_argument(
        "project: sizes, outputs or type are out of range, or weights are null");
  }
  int element = linear->type == ENGRAM_F32 ? 4 : linear->type == ENGRAM_BF16 ? 2 : 1;
  if (!at_multiple(in, in_type == ENGRAM_F32 ? 4 : 2) || !at_multiple(out, 4) ||
      !at_multiple(linear->weight, element) || linear->weight_stride % element != 0) {
    return engram_wrong_argument(MISPLACED);
  }
  int status = engram_enter_queue(on);
  if (status != ENGRAM_OK || tokens == 0 || count == 0) {
    return status;
  }
  struct engram_linear weights = *linear;
  weights.scale = engram_has_scales_beside(linear->type) ? linear->scale : NULL;
  long long all = (tokens + ENGRAM_PROJECT_GROUP - 1) / ENGRAM_PROJECT_GROUP * count;
  if (tokens == 1) {
    ENGRAM_LAUNCH(engram_project_kernel<1>, blocks(on, all, ENGRAM_WARPS), ENGRAM_THREADS,
                  on->stream, weights, in, in_type, tokens, first, count, out, out_stride);
  } else {
    ENGRAM_LAUNCH(engram_project_kernel<ENGRAM_PROJECT_GROUP>, blocks(on, all, ENGRAM_WARPS),
                  ENGRAM_THREADS, on->stream, weights, in, in_type, tokens, first, count, out,
                  out_stride);
  }
  return engram_cuda_status(cudaGetLastError(), "launching project");
}

int engram_cuda_gate(const struct engram_cuda_queue *on, const struct engram_gate_weights *gate,
                     const void *kv, int kv_type, void *hidden, int type, long long token_stride,
                     long long branch_stride, const signed char *mask, long long tokens,
                     float *gates, float *gated) {
  if (!gate || !kv || !hidden || !mask || !gates || tokens < 0 || token_stride < 0 ||
      branch_stride < 0 || (type != ENGRAM_F32 && type != ENGRAM_BF16) ||
      (kv_type != ENGRAM_F32 && kv_type != ENGRAM_BF16)) {
    return engram_wrong_argument(
        "gate: a pointer is null, a count or stride is negative, or a type is unknown");
  }
  if (gate->struct_size != (int)sizeof *gate) {
    return engram_wrong_struct("engram_gate_weights");
  }
  if (gate->branches < 1 || gate->hidden < 1 || !gate->product ||
      tokens > INT32_MAX / gate->branches) {
    return engram_wrong_argument(
        "gate: branches, width or tokens are out of range, or the weights are null");
  }
  int element = type == ENGRAM_F32 ? 4 : 2;
  int kv_element = kv_type == ENGRAM_F32 ? 4 : 2;
  if (!at_multiple(kv, kv_element) || !at_multiple(hidden, element) || token_stride % element ||
      branch_stride % element || !at_multiple(gates, 4) || !at_multiple(gated, 4)) {
    return engram_wrong_argument(MISPLACED);
  }
  int status = engram_enter_queue(on);
  if (status != ENGRAM_OK || tokens == 0) {
    return status;
  }
  /* four at once, where all that a block reads and writes begins at such places */
  bool wide = gate->hidden % 4 == 0 && at_multiple(kv, 4 * kv_element) &&
              at_multiple(hidden, 4 * element) && token_stride % (4 * element) == 0 &&
              branch_stride % (4 * element) == 0 && at_multiple(gate->product, 16) &&
              (!gated || at_multiple(gated, 16));
  ENGRAM_LAUNCH(engram_gate_kernel, blocks(on, tokens * gate->branches, 1), ENGRAM_THREADS,
                on->stream, *gate, (const unsigned char *)kv, kv_type, (unsigned char *)hidden,
                type, token_stride, branch_stride, mask, tokens * gate->branches, wide ? 1 : 0,
                gates, gated);
  return engram_cuda_status(cudaGetLastError(), "launching gate");
}

int engram_cuda_conv(const struct engram_cuda_queue *on, const struct engram_conv_weights *conv,
                     float *gated, float *window, long long first, const signed char *mask,
                     long long tokens, void *hidden, int type, long long token_stride,
                     long long branch_stride) {
  if (!conv || !gated || !window || !mask || !hidden || tokens < 0 || token_stride < 0 ||
      branch_stride < 0 || (type != ENGRAM_F32 && type != ENGRAM_BF16)) {
    return engram_wrong_argument(
        "conv: a pointer is null, tokens or a stride are negative, or the type is unknown");
  }
  if (conv->struct_size != (int)sizeof *conv) {
    return engram_wrong_struct("engram_conv_weights");
  }
  if (conv->branches < 1 || conv->hidden < 1 || conv->kernel < 1 || conv->dilation < 1 ||
      !conv->taps || !conv->norm || tokens > INT32_MAX / conv->branches ||
      first < (long long)(conv->kernel - 1) * conv->dilation) {
    return engram_wrong_argument(
        "conv: sizes, tokens or the first row are out of range, or the weights are null");
  }
  int element = type == ENGRAM_F32 ? 4 : 2;
  if (!at_multiple(gated, 4) || !at_multiple(window, 4) || !at_multiple(hidden, element) ||
      token_stride % element || branch_stride % element) {
    return engram_wrong_argument(MISPLACED);
  }
  int status = engram_enter_queue(on);
  if (status != ENGRAM_OK || tokens == 0) {
    return status;
  }
  long long channels = (long long)conv->branches * conv->hidden;
  float *rows = window + first * channels;
  ENGRAM_LAUNCH(engram_conv_norm_kernel, blocks(on, tokens * conv->branches, 1), ENGRAM_THREADS,
                on->stream, *conv, gated, rows, tokens * conv->branches);
  status = engram_cuda_status(cudaGetLastError(), "launching the norm of conv");
  if (status != ENGRAM_OK) {
    return status;
  }
  ENGRAM_LAUNCH_FLAT(engram_conv_taps_kernel, blocks(on, tokens * channels, ENGRAM_THREADS),
                     ENGRAM_THREADS, on->stream, *conv, gated, rows, mask, tokens,
                     (unsigned char *)hidden, type, token_stride, branch_stride);
  return engram_cuda_status(cudaGetLastError(), "launching conv");
}
