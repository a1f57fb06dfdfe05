#include "../gate_formula.h"
#include "simd.h"

/*
 * Words of this stage alone:
 *   d_mul          products
 *   f_store2_bf16  two vectors as bf16, nearest even, NaN stays NaN
 */
#if defined(ENGRAM_SIMD_AVX512)
INLINE doubles d_mul(doubles a, doubles b) {
  return _mm512_mul_pd(a, b);
}
INLINE void f_store2_bf16(void *to, floats x, floats y) {
  const __m512i lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  const __m512i upper = _mm512_add_epi32(_mm512_mullo_epi32(lane, _mm512_set1_epi32(0x40004)),
                                         _mm512_set1_epi32(0x30001));
  _mm512_storeu_si512(to, _mm512_permutex2var_epi16(rounded_to_bf16(x), upper, rounded_to_bf16(y)));
}
#elif defined(ENGRAM_SIMD_AVX2)
INLINE doubles d_mul(doubles a, doubles b) {
  return _mm256_mul_pd(a, b);
}
INLINE void f_store2_bf16(void *to, floats x, floats y) {
  __m256i low = _mm256_srli_epi32(rounded_to_bf16(x), 16);
  __m256i high = _mm256_srli_epi32(rounded_to_bf16(y), 16);
  __m256i packed = _mm256_packus_epi32(low, high); /* each 128 bits by themselves */
  _mm256_storeu_si256(to, _mm256_permute4x64_epi64(packed, 0xD8));
}
#else /* NEON */
INLINE doubles d_mul(doubles x, doubles y) {
  return BOTH(doubles, vmulq_f64(x.a, y.a), vmulq_f64(x.b, y.b));
}
INLINE void f_store2_bf16(void *to, floats x, floats y) {
  f_store_bf16(to, x);
  f_store_bf16((uint8_t *)to + 2 * LANES, y);
}
#endif

INLINE floats load(const uint8_t *stream, const int type, int64_t i) {
  return type == ENGRAM_F32 ? f_load(stream + 4 * i) : f_load_bf16(stream + 2 * i);
}

/* In double, as the truth has it: nothing overflows or vanishes. */
static void careful_sums(const float *product, const float *key, const uint8_t *stream, int type,
                         int64_t hidden, double sums[3]) {
  doubles streams[2] = {d_zero(), d_zero()};
  doubles keys[2] = {d_zero(), d_zero()};
  doubles dots[2] = {d_zero(), d_zero()};
  for (int64_t i = 0; i < hidden; i += LANES) {
    floats x = load(stream, type, i);
    floats k = f_load(key + i);
    floats w = f_load(product + i);
    doubles x0 = d_low(x);
    doubles x1 = d_high(x);
    doubles k0 = d_low(k);
    doubles k1 = d_high(k);
    streams[0] = d_fma(x0, x0, streams[0]);
    streams[1] = d_fma(x1, x1, streams[1]);
    keys[0] = d_fma(k0, k0, keys[0]);
    keys[1] = d_fma(k1, k1, keys[1]);
    dots[0] = d_fma(d_mul(x0, d_low(w)), k0, dots[0]);
    dots[1] = d_fma(d_mul(x1, d_high(w)), k1, dots[1]);
  }
  sums[0] = d_sum(d_add(streams[0], streams[1]));
  sums[1] = d_sum(d_add(keys[0], keys[1]));
  sums[2] = d_sum(d_add(dots[0], dots[1]));
}

/* Elements of a lane that are added in float before they go on in double. */
#define GROUP 16

/*
 * Hardware prefetchers stop at every page and begin anew with every row, so the sums ask for stream
 * and key ahead: 512 tokens went from 16 to 8.5 us a token in float32 and to 7.2 in bf16 (Zen 4).
 * Asking for what lies behind a stream's end cost a single token a fifth of its time. Asking for
 * the value and the next token's first key, which do not follow a key, took another tenth off in
 * float32; a group at a time, as in the inner loop it cost more where all is in the caches.
 */
#define AHEAD 12288
#define KEY_AHEAD 4096
#define LINE 64

INLINE void ask(const void *from, int64_t ahead) {
  __builtin_prefetch((const void *)((uintptr_t)from + (uintptr_t)ahead), 0, 2);
}

/* Asks for what lies ahead of two vectors of a stream, unless that is behind the stream's end. */
INLINE void ask_stream(const uint8_t *stream, const int type, int64_t i, int64_t ahead,
                       uintptr_t end) {
  const int64_t size = type == ENGRAM_F32 ? 4 : 2;
  const uintptr_t here = (uintptr_t)(stream + i * size);
  const uintptr_t there = here + (uintptr_t)ahead;
  for (int at = 0; at < 2 * LANES * size; at += LINE) {
    ask((const void *)(there < end ? there : here), at);
  }
}

/* Asks for what lies ahead of two vectors of a key or a value. */
INLINE void ask_key(const float *key, int64_t ahead) {
  for (int at = 0; at < 8 * LANES; at += LINE) {
    ask(key, ahead + at);
  }
}

/* GROUP products of a lane are added in float: a third of the instructions that doubles take. */
struct sums {
  floats part[3][2]; /* two of each, as one would wait for itself */
};

INLINE void add_products(struct sums *to, int half, floats x, floats w, floats k) {
  to->part[0][half] = f_fma(x, x, to->part[0][half]);
  to->part[1][half] = f_fma(k, k, to->part[1][half]);
  to->part[2][half] = f_fma(f_mul(x, w), k, to->part[2][half]);
}

INLINE floats updated(floats gate, const float *value, const uint8_t *stream, const int type,
                      int64_t i) {
  return f_add(load(stream, type, i), f_mul(gate, f_load(value + i)));
}

/* Two vectors of bf16 are packed at once: a fourth less to do than by one. */
INLINE void update_two(floats gate, const float *value, uint8_t *stream, const int type,
                       int64_t i) {
  floats low = updated(gate, value, stream, type, i);
  floats high = updated(gate, value, stream, type, i + LANES);
  if (type == ENGRAM_F32) {
    f_store(stream + 4 * i, low);
    f_store(stream + 4 * (i + LANES), high);
  } else {
    f_store2_bf16(stream + 2 * i, low, high);
  }
}

INLINE void update_one(floats gate, const float *value, uint8_t *stream, const int type,
                       int64_t i) {
  floats x = updated(gate, value, stream, type, i);
  if (type == ENGRAM_F32) {
    f_store(stream + 4 * i, x);
  } else {
    f_store_bf16(stream + 2 * i, x);
  }
}

/*
 * The sums of a branch, and in the same loop the update of the branch before: sums compute while
 * updates wait for memory. A tenth less than one after the other (Emerald Rapids, 1 to 512 tokens,
 * either type, either tier).
 */
INLINE void float_sums(const float *product, const float *key, const uint8_t *stream,
                       const int type, int64_t hidden, uintptr_t end_of_stream, const float *soon,
                       const struct engram_gate_update *before, double sums[3]) {
  doubles all[3] = {d_zero(), d_zero(), d_zero()};
  const floats gate = f_set(before ? before->gate : 0);
  int64_t end;
  for (int64_t from = 0; from < hidden; from = end) {
    end = from + GROUP * LANES < hidden ? from + GROUP * LANES : hidden;
    struct sums sum = {{{f_zero(), f_zero()}, {f_zero(), f_zero()}, {f_zero(), f_zero()}}};
    int64_t i = from;
    if (soon) {
      for (int64_t at = from; at < end; at += 2 * LANES) {
        ask_key(soon + at, 0);
      }
    }
    for (; i + 2 * LANES <= end; i += 2 * LANES) {
      ask_stream(stream, type, i, AHEAD, end_of_stream);
      ask_key(key + i, KEY_AHEAD);
      add_products(&sum, 0, load(stream, type, i), f_load(product + i), f_load(key + i));
      add_products(&sum, 1, load(stream, type, i + LANES), f_load(product + i + LANES),
                   f_load(key + i + LANES));
      if (before) {
        update_two(gate, before->value, before->stream, type, i);
      }
    }
    if (i < end) {
      add_products(&sum, 0, load(stream, type, i), f_load(product + i), f_load(key + i));
      if (before) {
        update_one(gate, before->value, before->stream, type, i);
      }
    }
    for (int which = 0; which < 3; which++) {
      all[which] = d_add(all[which], d_fold(f_add(sum.part[which][0], sum.part[which][1])));
    }
  }
  for (int which = 0; which < 3; which++) {
    sums[which] = d_sum(all[which]);
  }
}

static void add(double sums[3], const double rest[3]) {
  for (int sum = 0; sum < 3; sum++) {
    sums[sum] += rest[sum];
  }
}

static void gate_sums(const float *product, const float *key, const uint8_t *stream, int type,
                      int64_t hidden, const void *end, const float *soon,
                      const struct engram_gate_update *before, double sums[3]) {
  const int64_t whole = hidden / LANES * LANES;
  const uintptr_t behind = (uintptr_t)end;
  double rest[3];
  if (type == ENGRAM_F32 && before) {
    float_sums(product, key, stream, ENGRAM_F32, whole, behind, soon, before, sums);
  } else if (type == ENGRAM_F32) {
    float_sums(product, key, stream, ENGRAM_F32, whole, behind, soon, NULL, sums);
  } else if (before) {
    float_sums(product, key, stream, ENGRAM_BF16, whole, behind, soon, before, sums);
  } else {
    float_sums(product, key, stream, ENGRAM_BF16, whole, behind, soon, NULL, sums);
  }
  if (before) {
    engram_scalar_gate_apply(before->gate, before->value + whole,
                             before->stream + whole * engram_out_bytes(type), type, hidden - whole,
                             NULL);
  }
  engram_scalar_gate_sums(product + whole, key + whole, stream + whole * engram_out_bytes(type),
                          type, hidden - whole, rest);
  add(sums, rest);
  if (!engram_gate_sums_will_do(sums, (double)hidden)) {
    careful_sums(product, key, stream, type, whole, sums);
    add(sums, rest);
  }
}

INLINE void update(float gate, const float *value, uint8_t *stream, const int type,
                   int64_t hidden) {
  const floats g = f_set(gate);
  int64_t i = 0;
  for (; i + 2 * LANES <= hidden; i += 2 * LANES) {
    update_two(g, value, stream, type, i);
  }
  if (i < hidden) {
    update_one(g, value, stream, type, i);
  }
}

static void gate_apply(float gate, const float *value, uint8_t *stream, int type, int64_t hidden,
                       float *gated) {
  const int64_t whole = hidden / LANES * LANES;
  if (gated) {
    for (int64_t i = 0; i < whole; i += LANES) {
      f_store(gated + i, f_mul(f_set(gate), f_load(value + i)));
    }
  } else if (type == ENGRAM_F32) {
    update(gate, value, stream, ENGRAM_F32, whole);
  } else {
    update(gate, value, stream, ENGRAM_BF16, whole);
  }
  engram_scalar_gate_apply(gate, value + whole, stream + whole * engram_out_bytes(type), type,
                           hidden - whole, gated ? gated + whole : gated);
}

#define GATE_SUMS gate_sums
#define GATE_APPLY gate_apply
#include "../stages/gate.h"

void TIER(gate)(const struct engram_gate_weights *gate, const float *kv, uint8_t *stream, int type,
                int64_t token_stride, int64_t branch_stride, const signed char *mask,
                int64_t tokens, float *gates, float *gated) {
  gate_tokens(gate, kv, stream, type, token_stride, branch_stride, mask, tokens, gates, gated);
}
