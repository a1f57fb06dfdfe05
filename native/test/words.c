/*
 * Each word of the vector vocabulary against what it says, lane by lane. Compiled once for each
 * tier, with that tier's flags.
 */
#define floats harness_floats /* here a type of the vocabulary */
#include "harness.h"
#undef floats

#include "../src/simd/simd.h"

#define HALF (LANES / 2)

static void same(float actual, float expected, const char *word, int lane) {
  uint32_t a = engram_float_to_bits(actual);
  uint32_t e = engram_float_to_bits(expected);
  expect(a == e || (is_nan(actual) && is_nan(expected)), word, lane);
}

static void lanes_of(floats x, float to[LANES]) {
  f_store(to, x);
}

static void arithmetic(void) {
  float a[LANES];
  float b[LANES];
  float c[LANES];
  float r[LANES];
  floats_of_any_size(a, LANES);
  floats_of_any_size(b, LANES);
  floats_of_any_size(c, LANES);
  floats x = f_load(a);
  floats y = f_load(b);
  lanes_of(x, r);
  for (int i = 0; i < LANES; i++) {
    same(r[i], a[i], "f_load f_store", i);
  }
  lanes_of(f_zero(), r);
  for (int i = 0; i < LANES; i++) {
    same(r[i], 0, "f_zero", i);
  }
  lanes_of(f_set(a[0]), r);
  for (int i = 0; i < LANES; i++) {
    same(r[i], a[0], "f_set", i);
  }
  lanes_of(f_add(x, y), r);
  for (int i = 0; i < LANES; i++) {
    same(r[i], a[i] + b[i], "f_add", i);
  }
  lanes_of(f_mul(x, y), r);
  for (int i = 0; i < LANES; i++) {
    same(r[i], a[i] * b[i], "f_mul", i);
  }
  lanes_of(f_fma(x, y, f_load(c)), r);
  for (int i = 0; i < LANES; i++) {
    same(r[i], __builtin_fmaf(a[i], b[i], c[i]), "f_fma", i);
  }
}

static void halves_of_floats(void) {
  float a[LANES];
  floats_of_any_size(a, LANES);
  if (below(2)) {
    a[below(LANES)] = __builtin_nanf("");
  }
  uint16_t words[LANES];
  float r[LANES];
  f_store_bf16(words, f_load(a));
  for (int i = 0; i < LANES; i++) {
    same(engram_bf16(words[i]), engram_bf16(engram_to_bf16(a[i])), "f_store_bf16", i);
  }
  lanes_of(f_load_bf16(words), r);
  for (int i = 0; i < LANES; i++) {
    same(r[i], engram_bf16(words[i]), "f_load_bf16", i);
  }
}

static void halves(void) {
  uint16_t words[LANES];
  float r[LANES];
  for (int i = 0; i < LANES; i++) { /* subnormal ones and zeros too, none of them NaN */
    words[i] = (uint16_t)(below(2) << 15 | below(31 << 10));
  }
  lanes_of(f_load_half(words), r);
  for (int i = 0; i < LANES; i++) {
    same(r[i], engram_half(words[i]), "f_load_half", i);
  }
}

static void codes(void) {
  uint8_t code[ENGRAM_BLOCK];
  int start = (int)below(256);
  for (int i = 0; i < ENGRAM_BLOCK; i++) { /* different ones, none of them NaN */
    code[i] = (uint8_t)(start + 3 * i);
    code[i] = (code[i] & 0x7f) == 0x7f ? (uint8_t)(code[i] - 1) : code[i];
  }
  float r[LANES];
  lanes_of(f_e4m3_over_256(code), r);
  for (int i = 0; i < LANES; i++) {
    same(r[i], engram_e4m3(code[i]) / 256, "f_e4m3_over_256", i);
  }
  floats tile[ENGRAM_BLOCK / LANES];
  f_e4m3_tile(code, tile);
  for (int i = 0; i < ENGRAM_BLOCK; i++) {
    lanes_of(tile[i / LANES], r);
    same(r[i % LANES], engram_e4m3(code[i]) / 256, "f_e4m3_tile", i);
  }
#if defined(ENGRAM_SIMD_AVX2)
  uint16_t half[ENGRAM_BLOCK];
  f_e4m3_halves(code, half);
  for (int i = 0; i < ENGRAM_BLOCK; i++) {
    same(engram_half(half[i]), engram_e4m3(code[i]) / 256, "f_e4m3_halves", i);
  }
#endif
  marks none = n_or_nan(n_zero(), code);
  expect(!n_any(n_zero()) && !n_any(none), "n_zero n_or_nan n_any", 0);
  int place = (int)below(ENGRAM_BLOCK);
  code[place] = below(2) ? 0x7f : 0xff;
  expect(n_any(n_or_nan(none, code)), "n_or_nan", place);
}

static void doubles_of(doubles x, double to[HALF]) {
  __builtin_memcpy(to, &x, HALF * sizeof(double));
}

static void in_double(void) {
  float a[LANES];
  float b[LANES];
  double r[HALF];
  for (int i = 0; i < LANES; i++) { /* whole numbers, so that sums are exact in any order */
    a[i] = (float)(below(2000) - 1000);
    b[i] = (float)(below(2000) - 1000);
  }
  floats x = f_load(a);
  floats y = f_load(b);
  doubles_of(d_low(x), r);
  for (int i = 0; i < HALF; i++) {
    expect(r[i] == a[i], "d_low", i);
  }
  doubles_of(d_high(x), r);
  for (int i = 0; i < HALF; i++) {
    expect(r[i] == a[HALF + i], "d_high", i);
  }
  double all = 0;
  double folded = 0;
  for (int i = 0; i < HALF; i++) {
    all += a[i];
    folded += (double)a[i] + a[HALF + i];
  }
  expect(d_sum(d_low(x)) == all, "d_sum", 0);
  expect(d_sum(d_fold(x)) == folded, "d_fold", 0);
  doubles_of(d_add(d_low(x), d_low(y)), r);
  for (int i = 0; i < HALF; i++) {
    expect(r[i] == (double)a[i] + b[i], "d_add", i);
  }
  doubles_of(d_fma(d_low(x), d_low(y), d_set(0.5)), r);
  for (int i = 0; i < HALF; i++) {
    expect(r[i] == (double)a[i] * b[i] + 0.5, "d_fma d_set", i);
  }
  doubles_of(d_zero(), r);
  for (int i = 0; i < HALF; i++) {
    expect(r[i] == 0, "d_zero", i);
  }
}

void TIER(words)(void) {
  for (int i = 0; i < 200; i++) {
    arithmetic();
    halves_of_floats();
    codes();
    halves();
    in_double();
  }
}
