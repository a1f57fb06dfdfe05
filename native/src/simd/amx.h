/*
 * Tiles of AMX-BF16, and AVX-512 with VBMI for what goes into them; native/test/portable_tiles.h
 * says the same in plain C.
 *
 *   T_BEGIN T_END            tiles 0 to 7 of 16 rows of 64 bytes; what they held is lost
 *   T_ZERO T_LOAD T_STORE    a tile, 1 KB in a row
 *   T_DOT(c, a, b)           c[m][n] += sum over k of a[m][k] * b[k / 2][n][k % 2]: 16 x 16 floats
 *                            from 16 x 32 and 16 x 16 x 2 bf16
 *   codes_times(scale)       what the codes of a tile with that scale are as bf16
 *   two_rows(codes, a, b, to, second)  32 codes each as bf16
 *   pack(in, stride, tokens, to)       32 inputs of up to 16 tokens as operand b, 0 for the others
 */
#ifndef ENGRAM_SIMD_AMX_H
#define ENGRAM_SIMD_AMX_H

#if !defined(__AMX_TILE__) || !defined(__AMX_BF16__) || !defined(__AVX512VBMI__)
#error "this tier is AMX-BF16, and AVX-512 with VBMI"
#endif
#include <immintrin.h>

struct tile_shapes {
  uint8_t palette;
  uint8_t start_row;
  uint8_t reserved[14];
  uint16_t row_bytes[16];
  uint8_t rows[16];
};

INLINE void tiles_begin(void) {
  struct tile_shapes shapes = {.palette = 1};
  for (int tile = 0; tile < 8; tile++) {
    shapes.row_bytes[tile] = 64;
    shapes.rows[tile] = 16;
  }
  /* gcc 12 thinks that the instruction reads eight of the 64 bytes, and may leave the others out:
     what was on the stack then ended the process */
  __asm__ volatile("" : : "r"(&shapes) : "memory");
  _tile_loadconfig(&shapes);
}

#define T_BEGIN tiles_begin()
#define T_END _tile_release()
#define T_ZERO(tile) _tile_zero(tile)
#define T_LOAD(tile, from) _tile_loadd(tile, from, 64)
#define T_STORE(tile, to) _tile_stored(tile, to, 64)
#define T_DOT(c, a, b) _tile_dpbf16ps(c, a, b)

/* The upper and the lower bytes, by the 7 bits of a code's size. */
struct codes {
  __m512i upper[2];
  __m512i lower[2];
};

/* 128 codes as bf16, times a power of two: an addition to all exponents but that of zero. */
INLINE struct codes codes_times(const uint16_t words[128], int scale) {
  const __m512i bytes = _mm512_set_epi8(
      126, 124, 122, 120, 118, 116, 114, 112, 110, 108, 106, 104, 102, 100, 98, 96, 94, 92, 90, 88,
      86, 84, 82, 80, 78, 76, 74, 72, 70, 68, 66, 64, 62, 60, 58, 56, 54, 52, 50, 48, 46, 44, 42,
      40, 38, 36, 34, 32, 30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
  const __m512i odd = _mm512_add_epi8(bytes, _mm512_set1_epi8(1));
  const __m512i exponent = _mm512_set1_epi16((short)((scale - 127) * 128));
  __m512i part[4];
  for (int i = 0; i < 4; i++) {
    part[i] = _mm512_add_epi16(_mm512_loadu_si512(words + 32 * i), exponent);
  }
  part[0] = _mm512_maskz_mov_epi16(0xfffffffe, part[0]);
  struct codes codes;
  for (int half = 0; half < 2; half++) {
    codes.upper[half] = _mm512_permutex2var_epi8(part[2 * half], odd, part[2 * half + 1]);
    codes.lower[half] = _mm512_permutex2var_epi8(part[2 * half], bytes, part[2 * half + 1]);
  }
  return codes;
}

INLINE void two_rows(const struct codes *codes, const uint8_t *first, const uint8_t *second,
                     uint16_t *to, uint16_t *second_to) {
  /* eight codes of one and eight of the other in turns, as bytes are then interleaved in 16s */
  const __m512i turns = _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11);
  __m512i code = _mm512_permutex2var_epi64(
      _mm512_castsi256_si512(_mm256_loadu_si256((const void *)first)), turns,
      _mm512_castsi256_si512(_mm256_loadu_si256((const void *)second)));
  __m512i upper = _mm512_permutex2var_epi8(codes->upper[0], code, codes->upper[1]);
  __m512i lower = _mm512_permutex2var_epi8(codes->lower[0], code, codes->lower[1]);
  upper = _mm512_ternarylogic_epi32(upper, code, _mm512_set1_epi8((char)0x80), 0xf8); /* | & */
  _mm512_storeu_si512(to, _mm512_unpacklo_epi8(lower, upper));
  _mm512_storeu_si512(second_to, _mm512_unpackhi_epi8(lower, upper));
}

/* 16 rows of 16 pairs, turned: row i gets the i-th pair of each. */
INLINE void store_turned(__m512i rows[16], uint16_t *to) {
  __m512i pairs[16];
  for (int i = 0; i < 16; i += 2) {
    pairs[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
    pairs[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) { /* [i + k]: of lane l column 4 l + k of four rows */
    rows[i] = _mm512_unpacklo_epi64(pairs[i], pairs[i + 2]);
    rows[i + 1] = _mm512_unpackhi_epi64(pairs[i], pairs[i + 2]);
    rows[i + 2] = _mm512_unpacklo_epi64(pairs[i + 1], pairs[i + 3]);
    rows[i + 3] = _mm512_unpackhi_epi64(pairs[i + 1], pairs[i + 3]);
  }
  for (int k = 0; k < 4; k++) {
    __m512i even = _mm512_shuffle_i32x4(rows[k], rows[4 + k], 0x88);
    __m512i odd = _mm512_shuffle_i32x4(rows[k], rows[4 + k], 0xdd);
    __m512i other_even = _mm512_shuffle_i32x4(rows[8 + k], rows[12 + k], 0x88);
    __m512i other_odd = _mm512_shuffle_i32x4(rows[8 + k], rows[12 + k], 0xdd);
    _mm512_storeu_si512(to + 32 * k, _mm512_shuffle_i32x4(even, other_even, 0x88));
    _mm512_storeu_si512(to + 32 * (4 + k), _mm512_shuffle_i32x4(odd, other_odd, 0x88));
    _mm512_storeu_si512(to + 32 * (8 + k), _mm512_shuffle_i32x4(even, other_even, 0xdd));
    _mm512_storeu_si512(to + 32 * (12 + k), _mm512_shuffle_i32x4(odd, other_odd, 0xdd));
  }
}

INLINE void pack(const float *in, int64_t stride, int tokens, uint16_t *to) {
  const __m512i upper_halves =
      _mm512_set_epi16(63, 61, 59, 57, 55, 53, 51, 49, 47, 45, 43, 41, 39, 37, 35, 33, 31, 29, 27,
                       25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
  __m512i rows[16];
  for (int token = 0; token < 16; token++) {
    const float *own = in + (token < tokens ? token : 0) * stride;
    rows[token] = token < tokens ? _mm512_permutex2var_epi16(_mm512_loadu_si512(own), upper_halves,
                                                             _mm512_loadu_si512(own + 16))
                                 : _mm512_setzero_si512();
  }
  store_turned(rows, to);
}

#endif
