/* The public functions: arguments checked, then the tier's kernels. */
#include "kernels.h"

/* What Java's side of the bindings holds as well. */
_Static_assert(sizeof(struct engram_layout) == 48, "layout of struct engram_layout");
_Static_assert(offsetof(struct engram_layout, inverses) == 40, "layout of struct engram_layout");
_Static_assert(sizeof(struct engram_table) == 56, "layout of struct engram_table");
_Static_assert(offsetof(struct engram_table, scale_stride) == 48, "layout of struct engram_table");
_Static_assert(offsetof(struct engram_table, rows) == 16, "layout of struct engram_table");
_Static_assert(sizeof(struct engram_linear) == 64, "layout of struct engram_linear");
_Static_assert(sizeof(struct engram_gate_weights) == 32, "layout of struct engram_gate_weights");
_Static_assert(offsetof(struct engram_gate_weights, eps) == 24,
               "layout of struct engram_gate_weights");
_Static_assert(sizeof(struct engram_conv_weights) == 40, "layout of struct engram_conv_weights");
_Static_assert(sizeof(int) == 4 && sizeof(long long) == 8, "integer sizes");

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "tables are little-endian, and so are these kernels"
#endif

#define STRINGIFY_(x) #x
#define STRINGIFY(x) STRINGIFY_(x)

int engram_abi(void) {
  return ENGRAM_ABI;
}

const char *engram_status_text(int status) {
  switch (status) {
    case ENGRAM_OK:
      return "ok";
    case ENGRAM_ERROR_ARGUMENT:
      return "an argument is null, negative or out of range";
    case ENGRAM_ERROR_STRUCT:
      return "a struct has not the size that this library was built with";
    case ENGRAM_ERROR_ROW:
      return "a row id is outside the table";
    case ENGRAM_ERROR_TIER:
      return "this CPU or this build does not have the tier";
    default:
      return "unknown status";
  }
}

const char *engram_build_info(void) {
#if defined(__clang__)
  return "clang " STRINGIFY(__clang_major__) "." STRINGIFY(__clang_minor__);
#elif defined(__GNUC__)
  return "gcc " STRINGIFY(__GNUC__) "." STRINGIFY(__GNUC_MINOR__);
#else
  return "unknown compiler";
#endif
}

/*
 * CPUID traps into the hypervisor on virtual machines, so it is asked once: bit t for tier t, and a
 * bit above to say that it was asked. Threads that race store the same number.
 */
static int has_tier(int tier) {
  static unsigned known;
  const unsigned asked = 1u << ENGRAM_TIERS;
  unsigned tiers = __atomic_load_n(&known, __ATOMIC_RELAXED);
  if (!tiers) {
    tiers = asked;
    for (int t = 0; t < ENGRAM_TIERS; t++) {
      tiers |= engram_detect(t) ? 0 : 1u << t;
    }
    __atomic_store_n(&known, tiers, __ATOMIC_RELAXED);
  }
  return tier >= 0 && tier < ENGRAM_TIERS && (tiers >> tier & 1);
}

const char *engram_tier_problem(int tier) {
  return engram_detect(tier);
}

static const struct engram_kernels *kernels(int tier) {
  if (!has_tier(tier)) {
    return NULL;
  }
  switch (tier) {
#if defined(__x86_64__)
    case ENGRAM_TIER_AVX2:
      return &engram_avx2_kernels;
    case ENGRAM_TIER_AVX512:
      return &engram_avx512_kernels;
    case ENGRAM_TIER_AVX512_BF16:
      return &engram_avx512_bf16_kernels;
#elif defined(__aarch64__)
    case ENGRAM_TIER_NEON:
      return &engram_neon_kernels;
#endif
    default:
      return &engram_scalar_kernels;
  }
}

static int64_t columns(const struct engram_layout *layout) {
  return (int64_t)(layout->max_ngram - 1) * layout->heads;
}

int engram_hash(int tier, const struct engram_layout *layout, const int *windows, long long tokens,
                long long *row_ids) {
  const struct engram_kernels *k = kernels(tier);
  if (!k) {
    return ENGRAM_ERROR_TIER;
  }
  if (!layout || !windows || !row_ids || tokens < 0) {
    return ENGRAM_ERROR_ARGUMENT;
  }
  if (layout->struct_size != sizeof *layout) {
    return ENGRAM_ERROR_STRUCT;
  }
  if (layout->max_ngram < 2 || layout->max_ngram > 64 || layout->heads < 1) {
    return ENGRAM_ERROR_ARGUMENT;
  }
  k->hash(layout, windows, tokens, (int64_t *)row_ids);
  return ENGRAM_OK;
}

int engram_gather(int tier, const struct engram_table *table, const long long *row_ids,
                  long long count, void *out, int out_type) {
  const struct engram_kernels *k = kernels(tier);
  if (!k) {
    return ENGRAM_ERROR_TIER;
  }
  if (!table || !row_ids || !out || count < 0 ||
      (out_type != ENGRAM_F32 && out_type != ENGRAM_BF16)) {
    return ENGRAM_ERROR_ARGUMENT;
  }
  if (table->struct_size != sizeof *table) {
    return ENGRAM_ERROR_STRUCT;
  }
  if (table->type < ENGRAM_F32 || table->type > ENGRAM_F8_E4M3 || table->head_dim < 1 ||
      table->rows < 1 || !table->weight || (table->type == ENGRAM_F8_E4M3 && !table->scale)) {
    return ENGRAM_ERROR_ARGUMENT;
  }
  if (table->weight_stride < (int64_t)table->head_dim * engram_type_bytes(table->type) ||
      (table->type == ENGRAM_F8_E4M3 && table->scale_stride < engram_blocks(table->head_dim))) {
    return ENGRAM_ERROR_ARGUMENT;
  }
  int64_t row_bytes = (int64_t)table->head_dim * engram_type_bytes(out_type);
  int stream = count > ENGRAM_STREAM_BYTES / row_bytes;
  for (int64_t first = 0; first < count; first += ENGRAM_BURST) {
    int64_t burst = count - first < ENGRAM_BURST ? count - first : ENGRAM_BURST;
    for (int64_t i = first; i < first + burst; i++) {
      int64_t row = engram_load64(row_ids + i);
      if (row < -1 || row >= table->rows) {
        return ENGRAM_ERROR_ROW;
      }
    }
    k->gather(table, (const int64_t *)row_ids + first, burst, (uint8_t *)out + first * row_bytes,
              out_type, stream);
  }
  return ENGRAM_OK;
}

int engram_lookup(int tier, int layers, const struct engram_layout *const *layouts,
                  const struct engram_table *const *tables, const int *windows, long long tokens,
                  long long *row_ids, void *rows, int out_type) {
  if (layers < 1 || !layouts || !tables || !row_ids || !rows) {
    return ENGRAM_ERROR_ARGUMENT;
  }
  for (int layer = 0; layer < layers; layer++) {
    if (!layouts[layer] || !tables[layer] || layouts[layer]->max_ngram != layouts[0]->max_ngram) {
      return ENGRAM_ERROR_ARGUMENT;
    }
  }
  long long *ids = row_ids;
  for (int layer = 0; layer < layers; layer++) {
    int status = engram_hash(tier, layouts[layer], windows, tokens, ids);
    if (status != ENGRAM_OK) {
      return status;
    }
    ids += tokens * columns(layouts[layer]);
  }
  ids = row_ids;
  uint8_t *out = rows;
  for (int layer = 0; layer < layers; layer++) {
    int64_t count = tokens * columns(layouts[layer]);
    int status = engram_gather(tier, tables[layer], ids, count, out, out_type);
    if (status != ENGRAM_OK) {
      return status;
    }
    ids += count;
    out += count * tables[layer]->head_dim * engram_type_bytes(out_type);
  }
  return ENGRAM_OK;
}

static int is_linear(const struct engram_linear *linear) {
  int fp8 = linear->type == ENGRAM_F8_E4M3;
  return (fp8 || linear->type == ENGRAM_F32 || linear->type == ENGRAM_BF16) &&
         linear->outputs > 0 && linear->inputs > 0 && linear->weight &&
         linear->weight_stride >= (int64_t)linear->inputs * engram_type_bytes(linear->type) &&
         (fp8 ? linear->scale && linear->scale_stride >= engram_blocks(linear->inputs)
              : !linear->scale);
}

int engram_nan_free(int tier, const struct engram_linear *linear) {
  const struct engram_kernels *k = kernels(tier);
  if (!k) {
    return ENGRAM_ERROR_TIER;
  }
  if (!linear) {
    return ENGRAM_ERROR_ARGUMENT;
  }
  if (linear->struct_size != sizeof *linear) {
    return ENGRAM_ERROR_STRUCT;
  }
  if (!is_linear(linear)) {
    return ENGRAM_ERROR_ARGUMENT;
  }
  if (linear->type != ENGRAM_F8_E4M3) {
    return 0;
  }
  const uint8_t *codes = linear->weight;
  for (int output = 0; output < linear->outputs; output++) {
    if (!k->nan_free(codes + output * (int64_t)linear->weight_stride, linear->inputs)) {
      return 0;
    }
  }
  return 1;
}

int engram_project(int tier, const struct engram_linear *linear, const float *in, long long tokens,
                   int first, int count, float *out, long long out_stride) {
  const struct engram_kernels *k = kernels(tier);
  if (!k) {
    return ENGRAM_ERROR_TIER;
  }
  if (!linear || !in || !out || tokens < 0) {
    return ENGRAM_ERROR_ARGUMENT;
  }
  if (linear->struct_size != sizeof *linear) {
    return ENGRAM_ERROR_STRUCT;
  }
  if (!is_linear(linear) || first < 0 || count < 0 || count > linear->outputs - first ||
      out_stride < count) {
    return ENGRAM_ERROR_ARGUMENT;
  }
  k->project(linear, in, tokens, first, count, out, out_stride);
  return ENGRAM_OK;
}

/* The gate from its sums (specification, section 7); once per token and branch, so in double. */
static float gate_of(const struct engram_gate_weights *gate, const double sums[3]) {
  double size = gate->hidden;
  double eps = gate->eps;
  /* two roots, not one of the product: both means can be as small as eps, 1e-20 */
  double norms = __builtin_sqrt(sums[0] / size + eps) * __builtin_sqrt(sums[1] / size + eps);
  double dot = sums[2] / norms / __builtin_sqrt(size);
  double root = 0;
  if (dot != 0 || !gate->zero_is_half) {
    double magnitude = __builtin_fabs(dot);
    /* written so that a NaN stays one */
    root = __builtin_copysign(__builtin_sqrt(magnitude < 1e-6 ? 1e-6 : magnitude), dot);
  }
  return (float)(1 / (1 + engram_exp(-root)));
}

int engram_gate(int tier, const struct engram_gate_weights *gate, const float *kv, void *stream,
                int type, long long token_stride, long long branch_stride, const signed char *mask,
                long long tokens, float *gates, float *gated) {
  const struct engram_kernels *k = kernels(tier);
  if (!k) {
    return ENGRAM_ERROR_TIER;
  }
  if (!gate || !kv || !stream || !mask || !gates || tokens < 0 || token_stride < 0 ||
      branch_stride < 0 || (type != ENGRAM_F32 && type != ENGRAM_BF16)) {
    return ENGRAM_ERROR_ARGUMENT;
  }
  if (gate->struct_size != sizeof *gate) {
    return ENGRAM_ERROR_STRUCT;
  }
  if (gate->branches < 1 || gate->hidden < 1 || !gate->product) {
    return ENGRAM_ERROR_ARGUMENT;
  }
  int branches = gate->branches;
  int64_t hidden = gate->hidden;
  const uint8_t *end = stream; /* behind the last element */
  if (tokens > 0) {
    end += (tokens - 1) * token_stride + (branches - 1) * branch_stride;
    end += hidden * engram_type_bytes(type);
  }
  for (int64_t token = 0; token < tokens; token++) {
    const float *keys = kv + token * (branches + 1) * hidden;
    const float *value = keys + branches * hidden;
    for (int branch = 0; branch < branches; branch++) {
      float *branch_gated = gated ? gated + (token * branches + branch) * hidden : NULL;
      float result = 0;
      if (mask[token]) {
        uint8_t *at = (uint8_t *)stream + token * token_stride + branch * branch_stride;
        const float *key = keys + branch * hidden;
        int last = branch + 1 == branches; /* the value lies before the next token's keys */
        const float *next = !last ? key + hidden : token + 1 < tokens ? value + hidden : key;
        double sums[3];
        k->gate_sums(gate->product + branch * hidden, key, at, type, hidden, end, sums);
        result = gate_of(gate, sums);
        k->gate_apply(result, value, at, type, hidden, branch_gated, next, end);
      } else if (branch_gated) {
        __builtin_memset(branch_gated, 0, (size_t)hidden * sizeof(float));
      }
      engram_store_float(gates + token * branches + branch, result);
    }
  }
  return ENGRAM_OK;
}

int engram_conv(int tier, const struct engram_conv_weights *conv, const float *gated, float *window,
                long long tokens, float *delta) {
  const struct engram_kernels *k = kernels(tier);
  if (!k) {
    return ENGRAM_ERROR_TIER;
  }
  if (!conv || !gated || !window || !delta || tokens < 0) {
    return ENGRAM_ERROR_ARGUMENT;
  }
  if (conv->struct_size != sizeof *conv) {
    return ENGRAM_ERROR_STRUCT;
  }
  if (conv->branches < 1 || conv->hidden < 1 || conv->kernel < 1 || conv->dilation < 1 ||
      !conv->taps || !conv->norm) {
    return ENGRAM_ERROR_ARGUMENT;
  }
  int64_t hidden = conv->hidden;
  int64_t channels = conv->branches * hidden;
  int64_t reach = (int64_t)(conv->kernel - 1) * conv->dilation;
  for (int64_t token = 0; token < tokens; token++) {
    const float *own = gated + token * channels;
    for (int branch = 0; branch < conv->branches; branch++) {
      int64_t at = branch * hidden;
      k->conv_norm(own + at, conv->norm + at, conv->eps, hidden,
                   window + (reach + token) * channels + at);
    }
    k->conv_taps(conv, own, window + token * channels, channels, delta + token * channels);
  }
  return ENGRAM_OK;
}
