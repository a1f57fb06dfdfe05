/* The words of tiles against what simd/amx.h says of them, in numbers whose sums are exact. */
#define floats harness_floats /* elsewhere a type of the vocabulary */
#include "harness.h"
#undef floats

#include "../src/simd/simd.h"
#if defined(ENGRAM_PORTABLE_TILES)
#include "portable_tiles.h"
#else
#include "../src/simd/amx.h"
#endif

#define SIZE 16
#define DEPTH 32

static void all_codes(void) {
  uint16_t words[128];
  for (int size = 0; size < 128; size++) {
    words[size] = (uint16_t)(engram_float_to_bits(engram_e4m3((uint8_t)size)) >> 16);
  }
  for (int scale = 97; scale <= 144; scale++) {
    const struct codes times = codes_times(words, scale);
    for (int start = 0; start < 256; start += 2 * DEPTH) {
      uint8_t code[2 * DEPTH];
      uint16_t to[2][DEPTH];
      for (int i = 0; i < 2 * DEPTH; i++) {
        code[i] = (uint8_t)(start + i);
        code[i] = (code[i] & 0x7f) == 0x7f ? 0x80 : code[i]; /* NaN codes never come here */
      }
      two_rows(&times, code, code + DEPTH, to[0], to[1]);
      for (int i = 0; i < 2 * DEPTH; i++) {
        float expected = engram_e4m3(code[i]) * engram_bits_to_float((uint32_t)scale << 23);
        uint32_t bits = (uint32_t)to[i / DEPTH][i % DEPTH] << 16;
        expect(bits == engram_float_to_bits(expected), "codes_times two_rows", code[i]);
      }
    }
  }
}

static void packing(int tokens) {
  int stride = DEPTH + (int)below(9);
  float *in = guarded(sizeof(float) * (size_t)(stride * (tokens - 1) + DEPTH));
  for (int i = 0; i < stride * (tokens - 1) + DEPTH; i++) {
    in[i] = (float)below(200);
  }
  uint16_t to[DEPTH * SIZE];
  pack(in, stride, tokens, to);
  for (int token = 0; token < SIZE; token++) {
    for (int i = 0; i < DEPTH; i++) {
      float expected = token < tokens ? in[token * stride + i] : 0;
      expect(engram_bf16(to[i / 2 * 2 * SIZE + 2 * token + i % 2]) == expected, "pack", i);
    }
  }
}

static void dots(void) {
  uint16_t a[SIZE][DEPTH];
  uint16_t b[SIZE][DEPTH];
  float sums[2][SIZE][SIZE];
  for (int i = 0; i < SIZE * DEPTH; i++) {
    a[i / DEPTH][i % DEPTH] = engram_to_bf16((float)(below(200) - 100));
    b[i / DEPTH][i % DEPTH] = engram_to_bf16((float)(below(200) - 100));
  }
  T_BEGIN;
  T_ZERO(1);
  T_ZERO(0);
  T_LOAD(4, a);
  T_LOAD(6, b);
  T_DOT(0, 4, 6);
  T_DOT(0, 4, 6);
  T_STORE(0, sums[0]);
  T_STORE(1, sums[1]);
  T_END;
  for (int m = 0; m < SIZE; m++) {
    for (int n = 0; n < SIZE; n++) {
      float expected = 0;
      for (int k = 0; k < DEPTH; k++) {
        expected += 2 * engram_bf16(a[m][k]) * engram_bf16(b[k / 2][2 * n + k % 2]);
      }
      expect(sums[0][m][n] == expected, "T_LOAD T_DOT T_STORE", n);
      expect(sums[1][m][n] == 0, "T_ZERO", n);
    }
  }
}

void engram_amx_bf16_words(void) {
  all_codes();
  for (int tokens = 1; tokens <= SIZE; tokens++) {
    packing(tokens);
  }
  for (int i = 0; i < 20; i++) {
    dots();
  }
  release();
}
