#include "harness.h"

static void put_weight(unsigned char *to, int type, int nan_codes) {
  float value = gaussian();
  unsigned bits;
  __builtin_memcpy(&bits, &value, sizeof bits);
  unsigned short upper = (unsigned short)(bits >> 16);
  unsigned char code = (unsigned char)next();
  if ((code & 0x7f) == 0x7f && !(nan_codes && below(20) == 0)) {
    code = 0;
  }
  if (type == ENGRAM_F32) {
    __builtin_memcpy(to, &value, sizeof value);
  } else if (type == ENGRAM_BF16) {
    __builtin_memcpy(to, &upper, sizeof upper);
  } else {
    *to = code;
  }
}

static void put_half(unsigned char *to) {
  to[0] = (unsigned char)next();
  to[1] = (unsigned char)(0x20 | (next() & 0x8f)); /* of ordinary size */
}

/* Random codes with scales of ordinary size, in one of the types whose blocks have their scales. */
static struct engram_linear blocks_linear(int type, int inputs, int outputs) {
  static const int halves[][2] = {
      [ENGRAM_Q4_1] = {0, 2},   [ENGRAM_Q5_1] = {0, 2},  [ENGRAM_Q2_K] = {80, 82},
      [ENGRAM_Q3_K] = {108, 0}, [ENGRAM_Q4_K] = {0, 2},  [ENGRAM_Q5_K] = {0, 2},
      [ENGRAM_Q6_K] = {208, 0}, [ENGRAM_IQ4_XS] = {0, 0}};
  struct engram_row_type about = {.struct_size = sizeof about};
  engram_describe_row_type(type, &about);
  long long blocks = (inputs + about.block_elements - 1) / about.block_elements;
  long long stride = (blocks + below(2)) * about.block_bytes;
  long long bytes = stride * (outputs - 1) + blocks * about.block_bytes;
  unsigned char *weight = guarded((size_t)bytes);
  for (long long i = 0; i < bytes; i++) {
    weight[i] = (unsigned char)next();
  }
  for (long long output = 0; output < outputs; output++) {
    for (long long block = 0; block < blocks; block++) {
      unsigned char *own = weight + output * stride + block * about.block_bytes;
      if (type == ENGRAM_MXFP4) {
        own[0] = (unsigned char)(110 + below(20));
      } else if (type != ENGRAM_NVFP4) {
        put_half(own + halves[type][0]);
        put_half(own + (halves[type][1] ? halves[type][1] : halves[type][0]));
      }
    }
  }
  float *bias = guarded(sizeof(float) * (size_t)outputs);
  floats(bias, outputs);
  return (struct engram_linear){.struct_size = sizeof(struct engram_linear),
                                .type = type,
                                .outputs = outputs,
                                .inputs = inputs,
                                .weight = weight,
                                .bias = next() & 1 ? bias : NULL,
                                .weight_stride = stride};
}

struct engram_linear random_linear(int inputs, int outputs, int wild) {
  static const int types[] = {ENGRAM_F32, ENGRAM_BF16, ENGRAM_F8_E4M3};
  if (!wild && below(2)) {
    return blocks_linear(ENGRAM_Q8_0 + (int)below(16), inputs, outputs);
  }
  int type = wild ? ENGRAM_F8_E4M3 : types[below(3)];
  size_t width = type == ENGRAM_F32 ? 4 : type == ENGRAM_F8_E4M3 ? 1 : 2;
  int of = below(3) ? inputs : inputs + 32 * (int)below(3); /* inputs of a wider matrix */
  size_t elements = (size_t)of * (size_t)(outputs - 1) + (size_t)inputs;
  unsigned char *weight = guarded(elements * width);
  for (size_t i = 0; i < elements; i++) {
    put_weight(weight + i * width, type, wild);
  }
  int tiles_of = (of + 31) / 32;
  size_t tiles =
      (size_t)tiles_of * (size_t)((outputs + 31) / 32 - 1) + (size_t)((inputs + 31) / 32);
  unsigned char *scale = guarded(tiles);
  for (size_t i = 0; i < tiles; i++) {
    scale[i] = (unsigned char)(wild && below(4) == 0 ? next() : 110 + (unsigned)below(20));
  }
  float *bias = guarded(sizeof(float) * (size_t)outputs);
  floats(bias, outputs);
  return (struct engram_linear){sizeof(struct engram_linear),
                                type,
                                outputs,
                                inputs,
                                weight,
                                type == ENGRAM_F8_E4M3 ? scale : NULL,
                                next() & 1 ? bias : NULL,
                                (long long)of * (long long)width,
                                tiles_of,
                                0,
                                0};
}

/* Rows of fp8 tables lose nothing as bf16, and some kernels have a way for those. */
static void make_bf16(float *in, long long count) {
  for (long long i = 0; i < count; i++) {
    unsigned bits;
    __builtin_memcpy(&bits, (char *)in + 4 * i, sizeof bits);
    bits &= 0xffff0000u;
    __builtin_memcpy((char *)in + 4 * i, &bits, sizeof bits);
  }
}

/* Tells the kernels of matrices without NaN; what is told must be so. */
static void ask_for_nans(int tier, struct engram_linear *l) {
  int expected = l->type == ENGRAM_F8_E4M3;
  const unsigned char *codes = l->weight;
  for (long long i = 0; expected && i < (long long)l->outputs * l->inputs; i++) {
    expected &= (codes[i / l->inputs * l->weight_stride + i % l->inputs] & 0x7f) != 0x7f;
  }
  int told = engram_nan_free(tier, l);
  expect(told == expected, "NaN codes", told);
  l->nan_free = next() & 1 ? expected : 0;
}

/* With the scratch that batches may take, or without any. */
static void project(int tier, const struct engram_linear *l, const float *in, long long tokens,
                    int first, int count, float *out, int with_scratch) {
  long long bytes = engram_project_scratch(tier, l, tokens);
  expect(bytes >= 0, "scratch", bytes);
  void *scratch = with_scratch && bytes > 0 ? guarded_lines((size_t)bytes) : NULL;
  int status =
      engram_project(tier, l, in, tokens, first, count, out, count, scratch, scratch ? bytes : 0);
  expect(status == ENGRAM_OK, "project status", tokens);
  if (scratch) {
    status = engram_project(tier, l, in, tokens, first, count, out, count, scratch, bytes - 1);
    expect(status == ENGRAM_ERROR_ARGUMENT, "too little scratch", bytes);
  }
}

static float *projected(int tier, const struct engram_linear *l, const float *in, long long tokens,
                        int with_scratch) {
  float *out = guarded(sizeof(float) * (size_t)(tokens * l->outputs));
  project(tier, l, in, tokens, 0, l->outputs, out, with_scratch);
  return out;
}

static double size_of(double x) {
  return x < 0 ? -x : x;
}

static double power(int exponent) {
  unsigned long long bits = (unsigned long long)(exponent + 1023) << 52;
  double power;
  __builtin_memcpy(&power, &bits, sizeof power);
  return power;
}

static double weight_size(const struct engram_linear *l, int output, int i) {
  const unsigned char *data = (const unsigned char *)l->weight + output * l->weight_stride;
  if (l->type == ENGRAM_F8_E4M3) {
    int exponent = data[i] >> 3 & 15;
    int fraction = data[i] & 7;
    return exponent ? (8 + fraction) * power(exponent - 10) : fraction * power(-9);
  }
  if (l->type >= ENGRAM_Q8_0) {
    static float row[4096];
    const struct engram_table table = {.struct_size = sizeof table,
                                       .type = l->type,
                                       .head_dim = l->inputs,
                                       .factor = 1,
                                       .rows = 1,
                                       .weight = data,
                                       .weight_stride = l->weight_stride};
    const long long id = 0;
    if (i == 0) { /* asked for in order */
      engram_gather(ENGRAM_TIER_SCALAR, &table, &id, 1, row, ENGRAM_F32);
    }
    return size_of(row[i]);
  }
  float value = 0;
  size_t width = l->type == ENGRAM_F32 ? 4 : 2;
  __builtin_memcpy((char *)&value + 4 - width, data + (size_t)i * width, width);
  return size_of(value);
}

/* How far a float kernel may be off: a part of the sum of magnitudes, where a product may also have
   lost its digits below the smallest float. NaN and infinite results are compared exactly. */
static double bound_of(const struct engram_linear *l, const float *in, int output, float result) {
  const unsigned char *scales = l->scale;
  double bound = 2e-7 * size_of(result) + 0x1p-149; /* of rounding the result, however small */
  for (int k = 0; k < l->inputs; k++) {
    int scale = scales ? scales[output / 32 * l->scale_stride + k / 32] : 127;
    if (scale != 255 && is_finite(at(in, k))) {
      double product = size_of(at(in, k)) * weight_size(l, output, k);
      bound += power(scale - 127) * (5e-7 * product + 256 * 0x1p-149);
    }
  }
  return bound;
}

void close_projection(const struct engram_linear *l, const float *in, long long tokens,
                      const float *actual, const float *expected) {
  for (long long i = 0; i < tokens * l->outputs; i++) {
    const float *own = in + i / l->outputs * l->inputs;
    float e = at(expected, i);
    close_each(at(actual, i), e, bound_of(l, own, (int)(i % l->outputs), e), "project", i);
  }
}

void project_case(int tier) {
  static const int multiples[] = {32, 32, 32, 64, 64, 64, 64, 320};
  int inputs = below(2) ? multiples[below(8)] * (1 + (int)below(8)) : size();
  struct engram_linear l = random_linear(inputs, size(), 0);
  ask_for_nans(tier, &l);
  int outputs = l.outputs;
  long long tokens = below(8) ? below(20) : below(150);
  float *in = guarded(sizeof(float) * (size_t)(tokens * l.inputs));
  floats(in, tokens * l.inputs);
  for (long long token = 0; token < tokens; token++) {
    make_bf16(in + token * l.inputs, below(3) ? l.inputs : below(l.inputs + 1));
  }
  int scratch = (int)below(2);
  float *actual = projected(tier, &l, in, tokens, scratch);
  close_projection(&l, in, tokens, actual, projected(ENGRAM_TIER_SCALAR, &l, in, tokens, 0));
  /* any range of tokens and outputs gives the same bits as all of them at once */
  int first = (int)below(outputs);
  int count = (int)below(outputs - first + 1);
  long long from = tokens ? below(tokens) : 0;
  long long some = tokens ? below(tokens - from + 1) : 0;
  int part_scratch = scratch;
  if (tier != ENGRAM_TIER_AMX_BF16) {
    part_scratch = (int)below(2);
  } else if (engram_project_scratch(tier, &l, some) != engram_project_scratch(tier, &l, tokens)) {
    from = 0; /* tiles add in another order, and a few tokens do not go by them */
    some = tokens;
  }
  float *part = guarded(sizeof(float) * (size_t)(some * count));
  project(tier, &l, in + from * l.inputs, some, first, count, part, part_scratch);
  for (long long i = 0; i < some * count; i++) {
    float whole = at(actual, (from + i / count) * outputs + first + i % count);
    float own = at(part, i);
    expect(__builtin_memcmp(&whole, &own, sizeof own) == 0, "part of a projection", i);
  }
}

void project_wild(int tier) {
  struct engram_linear l = random_linear(32 * (1 + (int)below(6)), 1 + (int)below(40), 1);
  ask_for_nans(tier, &l);
  long long tokens = 1 + below(9);
  float *in = guarded(sizeof(float) * (size_t)(tokens * l.inputs));
  wild_floats(in, tokens * l.inputs);
  int enlarged = below(3) == 0;
  for (long long i = 0; enlarged && i < tokens * l.inputs; i++) {
    float large = 1.2e38f * at(in, i); /* whose products overflow, which sums need not */
    __builtin_memcpy((char *)in + 4 * i, &large, sizeof large);
  }
  make_bf16(in, below(2) ? tokens * l.inputs : 0);
  close_projection(&l, in, tokens, projected(tier, &l, in, tokens, (int)below(2)),
                   projected(ENGRAM_TIER_SCALAR, &l, in, tokens, 0));
}
