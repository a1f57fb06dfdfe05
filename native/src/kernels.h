/* The kernels of a tier, which trust their arguments, and what tiers share. */
#ifndef ENGRAM_KERNELS_H
#define ENGRAM_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "../include/engram.h"
#include "formats.h"
#include "row_types.h"

/* Rows whose misses are issued together: those of one V4.1 token. */
#define ENGRAM_BURST 24

/* One implementation of the stages. What a tier has no better of, null, is that of the tier below.
 */
struct engram_kernels {
  const struct engram_kernels *below; /* null for the scalar tier, which has all */
  void (*hash)(const struct engram_layout *layout, const int32_t *windows, int64_t tokens,
               int64_t *row_ids);
  /* count is at most ENGRAM_BURST; a row without a weight is one of zeros; stream asks for stores
     past the caches */
  void (*gather)(const struct engram_table *table, const struct engram_row *rows, int64_t count,
                 uint8_t *out, int out_type, int stream);
  void (*project)(const struct engram_linear *linear, const float *in, int64_t tokens, int first,
                  int count, float *out, int64_t out_stride);
  /*
   * Batches that a tier has another way for: the bytes of scratch it takes, 0 if it has none for
   * these, and that way.
   */
  int64_t (*batch_scratch)(const struct engram_linear *linear, int64_t tokens);
  void (*project_batch)(const struct engram_linear *linear, const float *in, int64_t tokens,
                        int first, int count, float *out, int64_t out_stride, void *scratch);
  /* tidies up behind a batch that was left in the midst; null if there is nothing to do */
  void (*abandon)(void);
  /* whether none of count e4m3 codes is NaN */
  int (*nan_free)(const uint8_t *codes, int64_t count);
  /* as engram_gate */
  void (*gate)(const struct engram_gate_weights *gate, const float *kv, uint8_t *stream, int type,
               int64_t token_stride, int64_t branch_stride, const signed char *mask, int64_t tokens,
               float *gates, float *gated);
  /* as engram_conv; window begins at the first token's row */
  void (*conv)(const struct engram_conv_weights *conv, float *gated, float *window,
               const signed char *mask, int64_t tokens, uint8_t *stream, int type,
               int64_t token_stride, int64_t branch_stride);
};

extern const struct engram_kernels engram_scalar_kernels;
extern const struct engram_kernels engram_avx2_kernels;
extern const struct engram_kernels engram_avx512_kernels;
extern const struct engram_kernels engram_avx512_bf16_kernels;
extern const struct engram_kernels engram_amx_bf16_kernels;
extern const struct engram_kernels engram_neon_kernels;
extern const struct engram_kernels engram_neon_bf16_kernels;

/* The kernels of a tier, or null if this build, CPU or system cannot run it. */
const struct engram_kernels *engram_kernels_of(int tier);

/* A kernel of a tier: its own, or that of the nearest tier below that has one. */
#define ENGRAM_KERNEL(kernels, stage) (engram_with_##stage(kernels)->stage)
#define ENGRAM_WITH(stage)                                                                         \
  static inline const struct engram_kernels *engram_with_##stage(const struct engram_kernels *k) { \
    while (!k->stage) {                                                                            \
      k = k->below;                                                                                \
    }                                                                                              \
    return k;                                                                                      \
  }
ENGRAM_WITH(hash)
ENGRAM_WITH(gather)
ENGRAM_WITH(project)
ENGRAM_WITH(nan_free)
ENGRAM_WITH(gate)
ENGRAM_WITH(conv)

/* Loops over a tier's kernels, in stages/. */
int engram_gather_rows(const struct engram_kernels *k, const struct engram_table *table,
                       const long long *row_ids, int64_t count, uint8_t *out, int out_type);
void engram_repair_overflow(const struct engram_linear *linear, const float *in, int64_t tokens,
                            int first, int count, float *out, int64_t out_stride);

/* The scalar kernels: vector kernels fall back on them for tails and shapes that no model has. */
void engram_scalar_hash(const struct engram_layout *layout, const int32_t *windows, int64_t tokens,
                        int64_t *row_ids);
void engram_scalar_gather(const struct engram_table *table, const struct engram_row *rows,
                          int64_t count, uint8_t *out, int out_type, int stream);
void engram_scalar_row(const struct engram_table *table, const struct engram_row *row, uint8_t *out,
                       int out_type);
void engram_scalar_project(const struct engram_linear *linear, const float *in, int64_t tokens,
                           int first, int count, float *out, int64_t out_stride);
int engram_scalar_nan_free(const uint8_t *codes, int64_t count);
/* What a branch's stream is still to receive. */
struct engram_gate_update {
  float gate;
  const float *value;
  uint8_t *stream;
};

void engram_scalar_gate_sums(const float *product, const float *key, const uint8_t *stream,
                             int type, int64_t hidden, double sums[3]);
void engram_scalar_gate_apply(float gate, const float *value, uint8_t *stream, int type,
                              int64_t hidden, float *gated);
void engram_scalar_gate(const struct engram_gate_weights *gate, const float *kv, uint8_t *stream,
                        int type, int64_t token_stride, int64_t branch_stride,
                        const signed char *mask, int64_t tokens, float *gates, float *gated);
void engram_scalar_conv(const struct engram_conv_weights *conv, float *gated, float *window,
                        const signed char *mask, int64_t tokens, uint8_t *stream, int type,
                        int64_t token_stride, int64_t branch_stride);
/* Channels [from, to), which are the elements from 0 on of a branch's stream. */
void engram_scalar_conv_taps(const struct engram_conv_weights *conv, float *gated, const float *row,
                             int64_t from, int64_t to, uint8_t *stream, int type);

/* A window's id times its multiplier; unsigned, since ids outside the vocabulary may wrap. */
static inline int64_t engram_term(const struct engram_layout *layout, const int32_t *window,
                                  int shift) {
  uint64_t id = (uint64_t)(int64_t)engram_load32(window + shift);
  return (int64_t)(id * (uint64_t)layout->multipliers[shift]);
}

static inline int64_t engram_columns(const struct engram_layout *layout) {
  return (int64_t)(layout->max_ngram - 1) * layout->heads;
}

/* Bytes of an element of rows that are written, and of streams: F32 or BF16. */
static inline int engram_out_bytes(int type) {
  return type == ENGRAM_F32 ? 4 : 2;
}

/* An element of a stream. */
static inline float engram_stream_load(const uint8_t *stream, int type, int64_t i) {
  return type == ENGRAM_F32 ? engram_load_float(stream + 4 * i)
                            : engram_bf16(engram_load16(stream + 2 * i));
}

static inline void engram_stream_store(uint8_t *stream, int type, int64_t i, float value) {
  if (type == ENGRAM_F32) {
    engram_store_float(stream + 4 * i, value);
  } else {
    engram_store16(stream + 2 * i, engram_to_bf16(value));
  }
}

#endif
