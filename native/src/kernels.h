/* What the dispatch file and the kernels share. Kernels trust their arguments. */
#ifndef ENGRAM_KERNELS_H
#define ENGRAM_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "../include/engram.h"

/* Rows whose misses are issued together: those of one V4.1 token. */
#define ENGRAM_BURST 24

/* Output of one call that leaves the second cache is stored past it: read for writing it would take
   a fifth more time. */
#define ENGRAM_STREAM_BYTES (4 << 20)

/* One implementation of all stages; a tier overrides what it can do better. */
struct engram_kernels {
  void (*hash)(const struct engram_layout *layout, const int32_t *windows, int64_t tokens,
               int64_t *row_ids);
  /* ids have been checked; count is at most ENGRAM_BURST; stream asks for stores past the caches */
  void (*gather)(const struct engram_table *table, const int64_t *row_ids, int64_t count,
                 uint8_t *out, int out_type, int stream);
  void (*project)(const struct engram_linear *linear, const float *in, int64_t tokens, int first,
                  int count, float *out, int64_t out_stride);
  /* whether none of count e4m3 codes is NaN */
  int (*nan_free)(const uint8_t *codes, int64_t count);
  /* one token and branch; returns the sums of squares of stream and key, and their dot product */
  void (*gate_sums)(const float *product, const float *key, const void *stream, int type,
                    int64_t hidden, const void *end, double sums[3]);
  /* stream += gate * value, or gated = gate * value if that is given; next_key is what the next
     sums take, and may be asked for meanwhile; no stream lies at or behind end */
  void (*gate_apply)(float gate, const float *value, void *stream, int type, int64_t hidden,
                     float *gated, const float *next_key, const void *end);
  void (*conv_norm)(const float *gated, const float *norm, float eps, int64_t hidden, float *out);
  void (*conv_taps)(const struct engram_conv_weights *conv, const float *gated, const float *window,
                    int64_t channels, float *delta);
};

extern const struct engram_kernels engram_scalar_kernels;
extern const struct engram_kernels engram_avx2_kernels;
extern const struct engram_kernels engram_avx512_kernels;
extern const struct engram_kernels engram_avx512_bf16_kernels;
extern const struct engram_kernels engram_neon_kernels;

#define ENGRAM_TIERS 5

/* Asks CPU and operating system; returns why a tier cannot run, a static text, or null. */
const char *engram_detect(int tier);

/* Scalar pieces that vector kernels fall back on for tails and rare values. */
float engram_e4m3(uint8_t code);
float engram_half(uint16_t bits);
uint16_t engram_to_bf16(float value);
double engram_exp(double x);
void engram_scalar_row(const struct engram_table *table, int64_t row, uint8_t *out, int out_type);
void engram_scalar_hash_columns(const struct engram_layout *layout, int64_t roll, int from, int to,
                                int64_t *row_ids);

/* The scalar kernels themselves: a tier that has nothing better for a stage uses these. */
void engram_scalar_hash(const struct engram_layout *layout, const int32_t *windows, int64_t tokens,
                        int64_t *row_ids);
void engram_scalar_gather(const struct engram_table *table, const int64_t *row_ids, int64_t count,
                          uint8_t *out, int out_type, int stream);
void engram_scalar_project(const struct engram_linear *linear, const float *in, int64_t tokens,
                           int first, int count, float *out, int64_t out_stride);
int engram_scalar_nan_free(const uint8_t *codes, int64_t count);
void engram_scalar_gate_sums(const float *product, const float *key, const void *stream, int type,
                             int64_t hidden, const void *end, double sums[3]);
void engram_scalar_gate_apply(float gate, const float *value, void *stream, int type,
                              int64_t hidden, float *gated, const float *next_key, const void *end);
void engram_scalar_conv_norm(const float *gated, const float *norm, float eps, int64_t hidden,
                             float *out);
void engram_scalar_conv_taps(const struct engram_conv_weights *conv, const float *gated,
                             const float *window, int64_t first, int64_t channels, float *delta);

static inline float engram_bits_to_float(uint32_t bits) {
  union {
    uint32_t u;
    float f;
  } both = {bits};
  return both.f;
}

static inline uint32_t engram_float_to_bits(float value) {
  union {
    float f;
    uint32_t u;
  } both = {value};
  return both.u;
}

/* 2^(code - 127), as a double: exact, and without the branch that a float's least value needs. */
static inline float engram_e8m0(uint8_t code) {
  uint32_t bits = code == 255 ? 0x7fc00000u : (uint32_t)code << 23;
  return engram_bits_to_float(code == 0 ? 0x00400000u : bits); /* 2^-127 is no normal float */
}

static inline double engram_e8m0_double(uint8_t code) {
  union {
    uint64_t u;
    double d;
  } both = {code == 255 ? 0x7ff8000000000000u : (uint64_t)(code + 1023 - 127) << 52};
  return both.d;
}

/* Loads of any alignment; the compiler makes one instruction of each. */
static inline uint16_t engram_load16(const void *p) {
  uint16_t value;
  __builtin_memcpy(&value, p, sizeof value);
  return value;
}

static inline void engram_store16(void *p, uint16_t value) {
  __builtin_memcpy(p, &value, sizeof value);
}

static inline float engram_load_float(const void *p) {
  float value;
  __builtin_memcpy(&value, p, sizeof value);
  return value;
}

static inline void engram_store_float(void *p, float value) {
  __builtin_memcpy(p, &value, sizeof value);
}

static inline int32_t engram_load32(const void *p) {
  int32_t value;
  __builtin_memcpy(&value, p, sizeof value);
  return value;
}

static inline int64_t engram_load64(const void *p) {
  int64_t value;
  __builtin_memcpy(&value, p, sizeof value);
  return value;
}

static inline void engram_store64(void *p, int64_t value) {
  __builtin_memcpy(p, &value, sizeof value);
}

/* A window's id times its multiplier; unsigned, since ids outside the vocabulary may wrap. */
static inline int64_t engram_term(const struct engram_layout *layout, const int32_t *window,
                                  int shift) {
  uint64_t id = (uint64_t)(int64_t)engram_load32(window + shift);
  return (int64_t)(id * (uint64_t)layout->multipliers[shift]);
}

static inline int engram_type_bytes(int type) {
  return type == ENGRAM_F32 ? 4 : type == ENGRAM_F8_E4M3 ? 1 : 2;
}

static inline int engram_blocks(int size) {
  return (size + ENGRAM_BLOCK - 1) / ENGRAM_BLOCK;
}

#endif
