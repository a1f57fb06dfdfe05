/* The public functions: arguments are checked, then the tier's kernels run. */
#include "kernels.h"
#include "rounding.h"

/* What Java's side of the bindings holds as well. */
_Static_assert(sizeof(struct engram_row_type) == 40, "layout of struct engram_row_type");
_Static_assert(offsetof(struct engram_row_type, name) == 32, "layout of struct engram_row_type");
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

#define NAME(name, elements, bytes, scales, size, exact, weight) \
  case ENGRAM_##name:                                            \
    return #name;
static const char *row_type_name(int type) {
  switch (type) {
    ENGRAM_ROW_TYPES(NAME)
    default:
      return NULL;
  }
}

int engram_describe_row_type(int type, struct engram_row_type *about) {
  if (!about || !engram_is_row_type(type)) {
    return ENGRAM_ERROR_ARGUMENT;
  }
  if (about->struct_size != sizeof *about) {
    return ENGRAM_ERROR_STRUCT;
  }
  about->block_elements = engram_row_block_elements(type);
  about->block_bytes = engram_row_block_bytes(type);
  about->scales = engram_row_scales(type);
  about->scale_bytes = engram_row_block_scale_bytes(type);
  about->exact_in_bf16 = engram_row_is_exact(type);
  about->weight = engram_row_is_weight(type);
  about->reserved = 0;
  about->name = row_type_name(type);
  return ENGRAM_OK;
}

int engram_hash(int tier, const struct engram_layout *layout, const int *windows, long long tokens,
                long long *row_ids) {
  const struct engram_kernels *k = engram_kernels_of(tier);
  if (!k) {
    return ENGRAM_ERROR_TIER;
  }
  if (!layout || !windows || !row_ids || tokens < 0) {
    return ENGRAM_ERROR_ARGUMENT;
  }
  if (layout->struct_size != sizeof *layout) {
    return ENGRAM_ERROR_STRUCT;
  }
  if (layout->max_ngram < 2 || layout->max_ngram > 64 || layout->heads < 1 ||
      !layout->multipliers || !layout->primes || !layout->offsets || !layout->inverses) {
    return ENGRAM_ERROR_ARGUMENT;
  }
  engram_setting found = engram_enter();
  ENGRAM_KERNEL(k, hash)(layout, windows, tokens, (int64_t *)row_ids);
  engram_leave(found);
  return ENGRAM_OK;
}

static int is_table(const struct engram_table *table) {
  if (!engram_is_row_type(table->type) || table->head_dim < 1 || table->rows < 1 ||
      !table->weight || table->weight_stride < engram_row_bytes(table->type, table->head_dim)) {
    return 0;
  }
  return !engram_has_scales_beside(table->type) ||
         (table->scale &&
          table->scale_stride >= engram_row_scale_bytes(table->type, table->head_dim));
}

int engram_gather(int tier, const struct engram_table *table, const long long *row_ids,
                  long long count, void *out, int out_type) {
  const struct engram_kernels *k = engram_kernels_of(tier);
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
  if (!is_table(table)) {
    return ENGRAM_ERROR_ARGUMENT;
  }
  engram_setting found = engram_enter();
  int status = engram_gather_rows(k, table, row_ids, count, out, out_type);
  engram_leave(found);
  return status;
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
    ids += tokens * engram_columns(layouts[layer]);
  }
  ids = row_ids;
  uint8_t *out = rows;
  for (int layer = 0; layer < layers; layer++) {
    int64_t count = tokens * engram_columns(layouts[layer]);
    int status = engram_gather(tier, tables[layer], ids, count, out, out_type);
    if (status != ENGRAM_OK) {
      return status;
    }
    ids += count;
    out += count * tables[layer]->head_dim * engram_out_bytes(out_type);
  }
  return ENGRAM_OK;
}

static int is_linear(const struct engram_linear *linear) {
  if (engram_row_is_weight(linear->type) != 1 || linear->outputs < 1 || linear->inputs < 1 ||
      !linear->weight || linear->weight_stride < engram_row_bytes(linear->type, linear->inputs)) {
    return 0;
  }
  return engram_has_scales_beside(linear->type)
             ? linear->scale && linear->scale_stride >= engram_tiles(linear->inputs)
             : !linear->scale;
}

int engram_nan_free(int tier, const struct engram_linear *linear) {
  const struct engram_kernels *k = engram_kernels_of(tier);
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
    if (!ENGRAM_KERNEL(k, nan_free)(codes + output * (int64_t)linear->weight_stride,
                                    linear->inputs)) {
      return 0;
    }
  }
  return 1;
}

/* The tier with another way for batches: none below the one whose projection is used. */
static const struct engram_kernels *with_batches(const struct engram_kernels *k) {
  while (!k->project_batch && !k->project) {
    k = k->below;
  }
  return k->project_batch ? k : NULL;
}

static int64_t batch_scratch(const struct engram_kernels *k, const struct engram_linear *linear,
                             int64_t tokens) {
  const struct engram_kernels *batches = with_batches(k);
  return batches ? batches->batch_scratch(linear, tokens) : 0;
}

long long engram_project_scratch(int tier, const struct engram_linear *linear, long long tokens) {
  const struct engram_kernels *k = engram_kernels_of(tier);
  if (!k) {
    return ENGRAM_ERROR_TIER;
  }
  if (!linear || tokens < 0) {
    return ENGRAM_ERROR_ARGUMENT;
  }
  if (linear->struct_size != sizeof *linear) {
    return ENGRAM_ERROR_STRUCT;
  }
  return is_linear(linear) ? batch_scratch(k, linear, tokens) : ENGRAM_ERROR_ARGUMENT;
}

int engram_project(int tier, const struct engram_linear *linear, const float *in, long long tokens,
                   int first, int count, float *out, long long out_stride, void *scratch,
                   long long scratch_bytes) {
  const struct engram_kernels *k = engram_kernels_of(tier);
  if (!k) {
    return ENGRAM_ERROR_TIER;
  }
  if (!linear || !in || !out || tokens < 0 || (uintptr_t)scratch % 64 != 0) {
    return ENGRAM_ERROR_ARGUMENT;
  }
  if (linear->struct_size != sizeof *linear) {
    return ENGRAM_ERROR_STRUCT;
  }
  if (!is_linear(linear) || first < 0 || count < 0 || count > linear->outputs - first ||
      out_stride < count) {
    return ENGRAM_ERROR_ARGUMENT;
  }
  int64_t bytes = scratch ? batch_scratch(k, linear, tokens) : 0;
  if (bytes > scratch_bytes) {
    return ENGRAM_ERROR_ARGUMENT;
  }
  engram_setting found = engram_enter();
  if (bytes > 0) {
    with_batches(k)->project_batch(linear, in, tokens, first, count, out, out_stride, scratch);
  } else {
    ENGRAM_KERNEL(k, project)(linear, in, tokens, first, count, out, out_stride);
  }
  engram_leave(found);
  return ENGRAM_OK;
}

int engram_gate(int tier, const struct engram_gate_weights *gate, const float *kv, void *stream,
                int type, long long token_stride, long long branch_stride, const signed char *mask,
                long long tokens, float *gates, float *gated) {
  const struct engram_kernels *k = engram_kernels_of(tier);
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
  engram_setting found = engram_enter();
  ENGRAM_KERNEL(k, gate)
  (gate, kv, stream, type, token_stride, branch_stride, mask, tokens, gates, gated);
  engram_leave(found);
  return ENGRAM_OK;
}

int engram_conv(int tier, const struct engram_conv_weights *conv, float *gated, float *window,
                long long first, const signed char *mask, long long tokens, void *stream, int type,
                long long token_stride, long long branch_stride) {
  const struct engram_kernels *k = engram_kernels_of(tier);
  if (!k) {
    return ENGRAM_ERROR_TIER;
  }
  if (!conv || !gated || !window || !mask || !stream || tokens < 0 || token_stride < 0 ||
      branch_stride < 0 || (type != ENGRAM_F32 && type != ENGRAM_BF16)) {
    return ENGRAM_ERROR_ARGUMENT;
  }
  if (conv->struct_size != sizeof *conv) {
    return ENGRAM_ERROR_STRUCT;
  }
  if (conv->branches < 1 || conv->hidden < 1 || conv->kernel < 1 || conv->dilation < 1 ||
      !conv->taps || !conv->norm || first < (long long)(conv->kernel - 1) * conv->dilation) {
    return ENGRAM_ERROR_ARGUMENT;
  }
  engram_setting found = engram_enter();
  ENGRAM_KERNEL(k, conv)
  (conv, gated, window + first * conv->branches * (int64_t)conv->hidden, mask, tokens, stream, type,
   token_stride, branch_stride);
  engram_leave(found);
  return ENGRAM_OK;
}
