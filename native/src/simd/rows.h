/*
 * What widens rows, of tables and of weights: a decoder per kind of type, a line per type in
 * decode. They need whole groups of 32 elements.
 */
#ifndef ENGRAM_ROWS_H
#define ENGRAM_ROWS_H

#include "groups.h"

/*
 * Words of these decoders alone:
 *   f_stream        stores past the caches, to a multiple of a vector; f_stream_end after the last
 *   f_rounded       each rounded to bf16, none of them NaN
 */
#if defined(ENGRAM_SIMD_AVX512)
INLINE void f_stream(void *to, floats x) {
  _mm512_stream_ps(to, x);
}
INLINE void f_stream_end(void) {
  _mm_sfence();
}
INLINE floats f_rounded(floats x) {
  __m512i bits = _mm512_castps_si512(x);
  __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  __m512i sum = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
  return _mm512_castsi512_ps(_mm512_and_si512(sum, _mm512_set1_epi32((int)0xffff0000)));
}
#elif defined(ENGRAM_SIMD_AVX2)
INLINE void f_stream(void *to, floats x) {
  _mm256_stream_ps(to, x);
}
INLINE void f_stream_end(void) {
  _mm_sfence();
}
INLINE floats f_rounded(floats x) {
  __m256i bits = _mm256_castps_si256(x);
  __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  __m256i sum = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
  return _mm256_castsi256_ps(_mm256_and_si256(sum, _mm256_set1_epi32((int)0xffff0000)));
}
#else /* NEON */
INLINE void f_stream(void *to, floats x) {
  f_store(to, x); /* stores past the caches are a hint only, and not worth one here */
}
INLINE void f_stream_end(void) {
}
INLINE floats f_rounded(floats x) {
  return BOTH(floats, vreinterpretq_f32_u32(vshll_n_u16(bf16_of(x.a), 16)),
              vreinterpretq_f32_u32(vshll_n_u16(bf16_of(x.b), 16)));
}
#endif

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

/* Whether a factor is so large or small that it is not moved about. */
INLINE int is_odd_factor(float factor) {
  float size = factor < 0 ? -factor : factor;
  return !(size > 0x1p-100f && size < 0x1p100f);
}

/* What is stored as bf16 is rounded by that. */
INLINE void store_rounded(uint8_t *out, const int how, int k, floats values) {
  store(out, how, k, how == WORDS ? values : f_rounded(values));
}

/* Codes of fp8 with one factor for all, each rounded; codes come divided by 256. */
INLINE int tensor_row(const uint8_t *codes, float factor, int head_dim, uint8_t *out,
                      const int how) {
  const floats times = f_set(256 * factor);
  marks nan = n_zero();
  for (int k = 0; k < head_dim; k += ENGRAM_BLOCK) {
    nan = n_or_nan(nan, codes + k);
    for (int i = 0; i < VECTORS; i++) {
      store_rounded(out, how, k + LANES * i, f_mul(f_e4m3_over_256(codes + k + LANES * i), times));
    }
  }
  return n_any(nan) || is_odd_factor(factor);
}

/* Nibbles of 16 bytes in the order of their elements: the low one of each byte, then its high one.
 */
INLINE void put_pairs(struct group *to, octets bytes) {
  octets low = bytes & 15;
  octets high = bytes >> 4;
  put_both(
      to,
      __builtin_shufflevector(low, high, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23),
      __builtin_shufflevector(low, high, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15,
                              31));
}

INLINE int e2m1_row(const struct engram_row *row, float factor, int head_dim, uint8_t *out,
                    const int how) {
  int strange = is_odd_factor(factor);
  for (int g = 0; g < head_dim / GROUP; g++) {
    struct group group;
    put_pairs(&group, o_load(row->weight + 16 * g));
    put_both(&group, e2m1_doubled(group.codes[0]), e2m1_doubled(group.codes[1]));
    for (int half = 0; half < HALVES; half++) {
      uint8_t scale = row->scale[2 * g + half];
      strange |= (scale & 0x7f) == 0x7f;
      group.scale[half] = engram_e4m3(scale) * 0.5f;
    }
    for (int i = 0; i < VECTORS; i++) {
      floats exact = f_group(ENGRAM_MXFP4, &group, i); /* a product alone */
      store_rounded(out, how, GROUP * g + LANES * i, f_mul(exact, f_set(factor)));
    }
  }
  return strange;
}

/* A bf16 number that has no exponent to spare. */
INLINE int is_strange_bf16(uint16_t bits) {
  return (bits & 0x7fff) > 0x7000;
}

INLINE int affine_row(const struct engram_row *row, const int block, float factor, int head_dim,
                      uint8_t *out, const int how) {
  int strange = is_odd_factor(factor);
  for (int g = 0; g < head_dim / GROUP; g++) {
    struct group group;
    put_pairs(&group, o_load(row->weight + 16 * g));
    int at = 2 * (GROUP * g / block);
    uint16_t scale = engram_load16(row->scale + at);
    uint16_t bias = engram_load16(row->bias + at);
    strange |= is_strange_bf16(scale) | is_strange_bf16(bias);
    scale_both(&group, engram_bf16(scale));
    add_both(&group, engram_bf16(bias));
    for (int i = 0; i < VECTORS; i++) {
      floats value = f_rounded(f_group(ENGRAM_Q4_1, &group, i)); /* a product and a sum */
      value = factor == 1 ? value : f_mul(value, f_set(factor));
      store_rounded(out, how, GROUP * g + LANES * i, value);
    }
  }
  return strange;
}

/* Rows of whole blocks with their scales in them. */
INLINE int block_row(const int type, const uint8_t *from, int head_dim, uint8_t *out,
                     const int how) {
  const int elements = engram_row_block_elements(type);
  const int bytes = engram_row_block_bytes(type);
  const int64_t size = how == WORDS ? 2 : 4;
  int strange = 0;
  if (head_dim % elements != 0) {
    return 1;
  }
  for (int block = 0; block < head_dim / elements; block++) {
    const uint8_t *own = from + (int64_t)block * bytes;
    uint8_t *to = out + size * block * elements;
    /* a product with less than a normal float is slow on Intel's cores */
    strange |= type == ENGRAM_MXFP4 && own[0] < 2;
    struct block_scales scales;
    scales_of(type, own, &scales);
#pragma GCC unroll 8
    for (int g = 0; g < elements / GROUP; g++) {
      struct group group;
      group_of(type, own, &scales, g, &group);
      for (int i = 0; i < VECTORS; i++) {
        store(to, how, GROUP * g + LANES * i, f_group(type, &group, i));
      }
    }
  }
  return strange;
}

/*
 * This tier's decoders, a line a type; constant types, so that loops hold no branch. Returns
 * whether the row must be decoded one by one: it holds what the fast way does not know, or the type
 * has none here.
 */
INLINE int decode(const int type, const struct engram_row *row, float factor, int head_dim,
                  uint8_t *out, const int how) {
  const uint8_t *from = row->weight;
  switch (type) {
    case ENGRAM_F8_E4M3:
      return fp8_row(from, row->scale, head_dim / ENGRAM_BLOCK, out, how);
    case ENGRAM_F32:
      return plain_row(from, ENGRAM_F32, head_dim, out, how);
    case ENGRAM_BF16:
      return plain_row(from, ENGRAM_BF16, head_dim, out, how);
    case ENGRAM_F16:
      return plain_row(from, ENGRAM_F16, head_dim, out, how);
    case ENGRAM_F8_E4M3_TENSOR:
      return tensor_row(from, factor, head_dim, out, how);
    case ENGRAM_F4_E2M1:
      return e2m1_row(row, factor, head_dim, out, how);
    case ENGRAM_AFFINE4_64:
      return affine_row(row, 64, factor, head_dim, out, how);
    case ENGRAM_AFFINE4_32:
      return affine_row(row, 32, factor, head_dim, out, how);
#define BLOCK_ROW(name) \
  case ENGRAM_##name:   \
    return block_row(ENGRAM_##name, from, head_dim, out, how);
      BLOCK_ROW(Q8_0)
      BLOCK_ROW(Q4_0)
      BLOCK_ROW(Q4_1)
      BLOCK_ROW(Q5_0)
      BLOCK_ROW(Q5_1)
      BLOCK_ROW(IQ4_NL)
      BLOCK_ROW(MXFP4)
      BLOCK_ROW(NVFP4)
      BLOCK_ROW(Q2_K)
      BLOCK_ROW(Q3_K)
      BLOCK_ROW(Q4_K)
      BLOCK_ROW(Q5_K)
      BLOCK_ROW(Q6_K)
      BLOCK_ROW(IQ4_XS)
    default: /* of one and two bits, which no published table has */
      return 1;
  }
}

#endif
