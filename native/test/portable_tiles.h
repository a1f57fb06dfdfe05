/* The words of native/src/simd/amx.h in plain C, so that any CPU can test what is written in them.
 */
#ifndef ENGRAM_PORTABLE_TILES_H
#define ENGRAM_PORTABLE_TILES_H

struct portable_tile {
  uint16_t words[16][32];
  float sums[16][16];
};

#define T_BEGIN                  \
  struct portable_tile tiles[8]; \
  __builtin_memset(tiles, 0xff, sizeof tiles)
#define T_END (void)tiles
#define T_ZERO(tile) __builtin_memset(&tiles[tile], 0, sizeof tiles[tile])
#define T_LOAD(tile, from) __builtin_memcpy(tiles[tile].words, from, sizeof tiles[tile].words)
#define T_STORE(tile, to) __builtin_memcpy(to, tiles[tile].sums, sizeof tiles[tile].sums)
#define T_DOT(c, a, b) tile_dot(&tiles[c], &tiles[a], &tiles[b])

/* Even and odd products add up apart, and then to the sum: as the instruction does it. */
static inline void tile_dot(struct portable_tile *c, const struct portable_tile *a,
                            const struct portable_tile *b) {
  for (int m = 0; m < 16; m++) {
    for (int n = 0; n < 16; n++) {
      float sum[2] = {0, 0};
      for (int k = 0; k < 32; k++) {
        float product = engram_bf16(a->words[m][k]) * engram_bf16(b->words[k / 2][2 * n + k % 2]);
        sum[k % 2] += product; /* products of bf16 numbers are exact */
      }
      c->sums[m][n] += sum[0] + sum[1];
    }
  }
}

struct codes {
  const uint16_t *words;
  int scale;
};

static inline struct codes codes_times(const uint16_t words[128], int scale) {
  return (struct codes){words, scale};
}

static inline uint16_t one_code(const struct codes *codes, uint8_t code) {
  float size = engram_bf16(codes->words[code & 0x7f]);
  float times = engram_bits_to_float((uint32_t)codes->scale << 23);
  return (uint16_t)(engram_to_bf16(size * times) | (code & 0x80) << 8);
}

static inline void two_rows(const struct codes *codes, const uint8_t *first, const uint8_t *second,
                            uint16_t *to, uint16_t *second_to) {
  for (int i = 0; i < 32; i++) {
    to[i] = one_code(codes, first[i]);
    second_to[i] = one_code(codes, second[i]);
  }
}

static inline void pack(const float *in, int64_t stride, int tokens, uint16_t *to) {
  for (int token = 0; token < 16; token++) {
    for (int i = 0; i < 32; i++) {
      float x = token < tokens ? engram_load_float(in + token * stride + i) : 0;
      to[i / 2 * 32 + 2 * token + i % 2] = (uint16_t)(engram_float_to_bits(x) >> 16);
    }
  }
}

#endif
