#include "tier_avx2.h"

static inline __m256 load(const void *stream, int type, int64_t i) {
  const uint8_t *data = stream;
  return type == ENGRAM_F32 ? _mm256_loadu_ps((const float *)(const void *)(data + 4 * i))
                            : engram_bf16_to_floats(
                                  _mm_loadu_si128((const __m128i *)(const void *)(data + 2 * i)));
}

static inline __m256d low(__m256 v) {
  return _mm256_cvtps_pd(_mm256_castps256_ps128(v));
}

static inline __m256d high(__m256 v) {
  return _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1));
}

static inline double sum(__m256d v) {
  __m128d two = _mm_add_pd(_mm256_castpd256_pd128(v), _mm256_extractf128_pd(v, 1));
  return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

/* In double, as the truth has it: streams of 1e20 do not overflow, and memory is the limit. */
void engram_avx2_gate_sums(const float *product, const float *key, const void *stream, int type,
                           int64_t hidden, double sums[3]) {
  __m256d streams[2] = {_mm256_setzero_pd(), _mm256_setzero_pd()};
  __m256d keys[2] = {_mm256_setzero_pd(), _mm256_setzero_pd()};
  __m256d dots[2] = {_mm256_setzero_pd(), _mm256_setzero_pd()};
  int64_t i = 0;
  for (; i + 8 <= hidden; i += 8) {
    __m256 x = load(stream, type, i);
    __m256 k = _mm256_loadu_ps(key + i);
    __m256 w = _mm256_loadu_ps(product + i);
    __m256d x0 = low(x);
    __m256d x1 = high(x);
    __m256d k0 = low(k);
    __m256d k1 = high(k);
    streams[0] = _mm256_fmadd_pd(x0, x0, streams[0]);
    streams[1] = _mm256_fmadd_pd(x1, x1, streams[1]);
    keys[0] = _mm256_fmadd_pd(k0, k0, keys[0]);
    keys[1] = _mm256_fmadd_pd(k1, k1, keys[1]);
    dots[0] = _mm256_fmadd_pd(_mm256_mul_pd(x0, low(w)), k0, dots[0]);
    dots[1] = _mm256_fmadd_pd(_mm256_mul_pd(x1, high(w)), k1, dots[1]);
  }
  const uint8_t *rest = stream;
  engram_scalar_gate_sums(product + i, key + i, rest + i * engram_type_bytes(type), type,
                          hidden - i, sums);
  sums[0] += sum(_mm256_add_pd(streams[0], streams[1]));
  sums[1] += sum(_mm256_add_pd(keys[0], keys[1]));
  sums[2] += sum(_mm256_add_pd(dots[0], dots[1]));
}

void engram_avx2_gate_apply(float gate, const float *value, void *stream, int type, int64_t hidden,
                            float *gated) {
  __m256 g = _mm256_set1_ps(gate);
  uint8_t *data = stream;
  int64_t i = 0;
  for (; i + 8 <= hidden; i += 8) {
    __m256 product = _mm256_mul_ps(g, _mm256_loadu_ps(value + i));
    if (gated) {
      _mm256_storeu_ps(gated + i, product);
      continue;
    }
    __m256 updated = _mm256_add_ps(load(stream, type, i), product);
    if (type == ENGRAM_F32) {
      _mm256_storeu_ps((float *)(void *)(data + 4 * i), updated);
    } else {
      _mm_storeu_si128((__m128i *)(void *)(data + 2 * i), engram_floats_to_bf16(updated));
    }
  }
  engram_scalar_gate_apply(gate, value + i, data + i * engram_type_bytes(type), type, hidden - i,
                           gated ? gated + i : gated);
}
