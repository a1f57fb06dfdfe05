#include "simd.h"

/*
 * Words of this stage alone:
 *   f_stream        stores past the caches, to a multiple of a vector; f_stream_end after the last
 *   f_load_half     halves as floats
 */
#if defined(ENGRAM_SIMD_AVX512)
INLINE void f_stream(void *to, floats x) {
  _mm512_stream_ps(to, x);
}
INLINE void f_stream_end(void) {
  _mm_sfence();
}
INLINE floats f_load_half(const void *from) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(from));
}
#elif defined(ENGRAM_SIMD_AVX2)
INLINE void f_stream(void *to, floats x) {
  _mm256_stream_ps(to, x);
}
INLINE void f_stream_end(void) {
  _mm_sfence();
}
INLINE floats f_load_half(const void *from) {
  return _mm256_cvtph_ps(_mm_loadu_si128(from));
}
#else /* NEON */
INLINE void f_stream(void *to, floats x) {
  f_store(to, x); /* stores past the caches are a hint only, and not worth one here */
}
INLINE void f_stream_end(void) {
}
INLINE floats f_load_half(const void *from) {
  return from_halves(load_words(from));
}
#endif

#define LINE 64
#define AHEAD 8

/*
 * The misses of a whole token are issued together, by loads, before any row is decoded: decoding
 * fills the reorder buffer, so with one row at a time only one row's misses would be under way.
 * Rows that are asked for a little before save another twentieth; asking instead of loading, or
 * decoding in between, is slower (docs/performance.md).
 */
INLINE void ask(const uint8_t *from, int64_t bytes) {
  for (int64_t at = 0; at < bytes; at += LINE) {
    __builtin_prefetch(from + at);
  }
  __builtin_prefetch(from + bytes - 1);
}

INLINE void touch(const uint8_t *from, int64_t bytes, uint32_t *sink) {
  for (int64_t at = 0; at < bytes; at += LINE) {
    *sink ^= from[at];
  }
  *sink ^= from[bytes - 1];
}

/* Rows of bytes each, some of them -1. */
INLINE void issue(const uint8_t *data, int64_t stride, int64_t bytes, const int64_t *row_ids,
                  int64_t count) {
  uint32_t sink = 0;
  for (int64_t i = 0; i < count; i++) {
    int64_t ahead = row_ids[i + AHEAD < count ? i + AHEAD : count - 1];
    int64_t row = row_ids[i];
    if (ahead >= 0) {
      ask(data + ahead * stride, bytes);
    }
    if (row >= 0) {
      touch(data + row * stride, bytes, &sink);
    }
  }
  __asm__ volatile("" : : "r"(sink)); /* the loads must not be dropped */
}

static void issue_misses(const struct engram_table *table, const int64_t *row_ids, int64_t count) {
  const uint8_t *weight = table->weight;
  const uint8_t *scale = table->scale;
  int64_t bytes = engram_row_bytes(table->type, table->head_dim);
  int64_t scales = scale ? engram_row_scale_bytes(table->type, table->head_dim) : 0;
  int packed = scale == weight + bytes && table->scale_stride == table->weight_stride;
  if (packed && bytes == 256 && scales == 8) { /* a packed row of V4.1 */
    issue(weight, table->weight_stride, 264, row_ids, count);
  } else if (packed) {
    issue(weight, table->weight_stride, bytes + scales, row_ids, count);
  } else {
    issue(weight, table->weight_stride, bytes, row_ids, count);
    if (scale) {
      issue(scale, table->scale_stride, scales, row_ids, count);
    }
  }
}

/* How a row is stored: as floats, as floats past the caches, as bf16. */
enum { FLOATS, STREAMED, WORDS };

INLINE void store(uint8_t *out, const int how, int k, floats values) {
  if (how == FLOATS) {
    f_store(out + 4 * (int64_t)k, values);
  } else if (how == STREAMED) {
    f_stream(out + 4 * (int64_t)k, values);
  } else {
    f_store_bf16(out + 2 * (int64_t)k, values);
  }
}

#define VECTORS (ENGRAM_BLOCK / LANES)
#define SCALES 8
#define DIVIDED 8 /* codes come divided by 2^8 */

/*
 * Up to SCALES whole blocks of 32. Returns whether a NaN code or a scale above 2^119 was seen,
 * where elements are then wrong: looking for them once costs a third of what it takes in every
 * element.
 */
INLINE int fp8_blocks(const uint8_t *codes, const uint8_t *scales, const int blocks, uint8_t *out,
                      const int how) {
  uint32_t factors[SCALES]; /* the scale, and what codes are divided by */
  uint32_t strange = 0;
  for (int block = 0; block < blocks; block++) {
    factors[block] = (uint32_t)(scales[block] + DIVIDED) << 23;
    strange |= scales[block] > 254 - DIVIDED;
  }
  marks nan = n_zero();
  for (int block = 0; block < blocks; block++) {
    const uint8_t *own = codes + ENGRAM_BLOCK * block;
    floats factor =
        f_set(engram_bits_to_float(factors[block])); /* one rounding, as the reference */
    nan = n_or_nan(nan, own);
    for (int i = 0; i < VECTORS; i++) {
      floats w = f_e4m3_over_256(own + LANES * i);
      store(out, how, ENGRAM_BLOCK * block + LANES * i, f_mul(w, factor));
    }
  }
  return n_any(nan) || strange;
}

INLINE int fp8_row(const uint8_t *codes, const uint8_t *scales, int blocks, uint8_t *out,
                   const int how) {
  int strange = 0;
  int block = 0;
  for (; block + SCALES <= blocks; block += SCALES) {
    const uint8_t *own = codes + ENGRAM_BLOCK * block;
    uint8_t *to = out + (how == WORDS ? 2 : 4) * (int64_t)ENGRAM_BLOCK * block;
    strange |= fp8_blocks(own, scales + block, SCALES, to, how);
  }
  for (; block < blocks; block++) {
    const uint8_t *own = codes + ENGRAM_BLOCK * block;
    uint8_t *to = out + (how == WORDS ? 2 : 4) * (int64_t)ENGRAM_BLOCK * block;
    strange |= fp8_blocks(own, scales + block, 1, to, how);
  }
  return strange;
}

/* Rows of numbers without scales. */
INLINE int plain_row(const uint8_t *data, const int type, int head_dim, uint8_t *out,
                     const int how) {
  const int size = type == ENGRAM_F32 ? 4 : 2;
  for (int k = 0; k + LANES <= head_dim; k += LANES) {
    const uint8_t *from = data + (int64_t)k * size;
    store(out, how, k,
          type == ENGRAM_F32    ? f_load(from)
          : type == ENGRAM_BF16 ? f_load_bf16(from)
                                : f_load_half(from));
  }
  return 0;
}

/*
 * This tier's decoders, a line a type; constant types, so that loops hold no branch. Returns
 * whether the row must be decoded one by one: it holds what the fast way does not know, or the type
 * has none here.
 */
INLINE int decode(const int type, const uint8_t *from, const uint8_t *scales, int head_dim,
                  uint8_t *out, const int how) {
  switch (type) {
    case ENGRAM_F8_E4M3:
      return fp8_row(from, scales, head_dim / ENGRAM_BLOCK, out, how);
    case ENGRAM_F32:
      return plain_row(from, ENGRAM_F32, head_dim, out, how);
    case ENGRAM_BF16:
      return plain_row(from, ENGRAM_BF16, head_dim, out, how);
    case ENGRAM_F16:
      return plain_row(from, ENGRAM_F16, head_dim, out, how);
    default:
      return 1;
  }
}

INLINE void rows(const struct engram_table *table, const int64_t *row_ids, int64_t count,
                 uint8_t *out, int out_type, const int how) {
  int head_dim = table->head_dim;
  int64_t row_bytes = (int64_t)head_dim * engram_out_bytes(out_type);
  const uint8_t *weight = table->weight;
  const uint8_t *scale = table->scale;
  for (int64_t i = 0; i < count; i++) {
    int64_t row = row_ids[i];
    uint8_t *own = out + i * row_bytes;
    if (row < 0) {
      __builtin_memset(own, 0, (size_t)row_bytes);
      continue;
    }
    const uint8_t *from = weight + row * table->weight_stride;
    const uint8_t *scales = scale ? scale + row * table->scale_stride : NULL;
    if (decode(table->type, from, scales, head_dim, own, how)) {
      engram_scalar_row(table, row, own, out_type);
    }
  }
}

void TIER(gather)(const struct engram_table *table, const int64_t *row_ids, int64_t count,
                  uint8_t *out, int out_type, int stream) {
  if (table->head_dim % ENGRAM_BLOCK != 0) { /* no published model has such rows */
    engram_scalar_gather(table, row_ids, count, out, out_type, stream);
    return;
  }
  issue_misses(table, row_ids, count);
  if (out_type == ENGRAM_BF16) {
    rows(table, row_ids, count, out, out_type, WORDS);
  } else if (stream && (uintptr_t)out % LINE == 0) { /* rows are multiples of a line then */
    rows(table, row_ids, count, out, out_type, STREAMED);
    f_stream_end();
  } else {
    rows(table, row_ids, count, out, out_type, FLOATS);
  }
}
