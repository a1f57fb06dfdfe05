/* The public functions: arguments are checked, then the tier's kernels run. */
#include "guard.h"
#include "kernels.h"

/* What Java's side of the bindings holds as well. */
_Static_assert(sizeof(struct engram_row_type) == 40, "layout of struct engram_row_type");
_Static_assert(offsetof(struct engram_row_type, name) == 32, "layout of struct engram_row_type");
_Static_assert(sizeof(struct engram_layout) == 48, "layout of struct engram_layout");
_Static_assert(offsetof(struct engram_layout, inverses) == 40, "layout of struct engram_layout");
_Static_assert(sizeof(struct engram_shard) == 32, "layout of struct engram_shard");
_Static_assert(sizeof(struct engram_table) == 88, "layout of struct engram_table");
_Static_assert(offsetof(struct engram_table, scale_stride) == 56, "layout of struct engram_table");
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

struct hash_work {
  const struct engram_kernels *k;
  const struct engram_layout *layout;
  const int *windows;
  long long tokens;
  long long *row_ids;
};

static int hash(void *arguments) {
  const struct hash_work *w = arguments;
  ENGRAM_KERNEL(w->k, hash)(w->layout, w->windows, w->tokens, (int64_t *)w->row_ids);
  return ENGRAM_OK;
}

static int is_layout(const struct engram_layout *layout) {
  return layout->max_ngram >= 2 && layout->max_ngram <= 64 && layout->heads >= 1 &&
         layout->multipliers && layout->primes && layout->offsets && layout->inverses;
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
  if (!is_layout(layout)) {
    return ENGRAM_ERROR_ARGUMENT;
  }
  struct hash_work work = {k, layout, windows, tokens, row_ids};
  return engram_guarded(hash, &work);
}

/* Whether rows have all that their type has. */
static int is_shard(const struct engram_table *table, const void *weight, const void *scale,
                    const void *bias) {
  return weight && (!engram_has_scales_beside(table->type) || scale) &&
         (engram_row_block_bias_bytes(table->type) == 0 || bias);
}

static int are_shards(const struct engram_table *table) {
  const struct engram_shard *shard = table->shard;
  if (!shard || table->shards > table->rows || shard[0].first != 0 ||
      shard[table->shards].first != table->rows) {
    return 0;
  }
  for (long long i = 0; i < table->shards; i++) {
    if (shard[i].first >= shard[i + 1].first ||
        !is_shard(table, shard[i].weight, shard[i].scale, shard[i].bias)) {
      return 0;
    }
  }
  return 1;
}

static int is_table(const struct engram_table *table) {
  int type = table->type;
  if (!engram_is_row_type(type) || table->head_dim < 1 || table->rows < 1 || table->shards < 0 ||
      table->weight_stride < engram_row_bytes(type, table->head_dim) ||
      table->scale_stride < engram_row_scale_bytes(type, table->head_dim) ||
      table->bias_stride < engram_row_bias_bytes(type, table->head_dim)) {
    return 0;
  }
  return table->shards ? are_shards(table)
                       : is_shard(table, table->weight, table->scale, table->bias);
}

struct gather_work {
  const struct engram_kernels *k;
  const struct engram_table *table;
  const long long *row_ids;
  long long count;
  void *out;
  int out_type;
};

static int gather(void *arguments) {
  const struct gather_work *w = arguments;
  return engram_gather_rows(w->k, w->table, w->row_ids, w->count, w->out, w->out_type);
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
  struct gather_work work = {k, table, row_ids, count, out, out_type};
  return engram_guarded(gather, &work);
}

struct lookup_work {
  const struct engram_kernels *k;
  int layers;
  const struct engram_layout *const *layouts;
  const struct engram_table *const *tables;
  const int *windows;
  long long tokens;
  long long *row_ids;
  void *rows;
  int out_type;
};

static int lookup(void *arguments) {
  const struct lookup_work *w = arguments;
  long long *ids = w->row_ids;
  for (int layer = 0; layer < w->layers; layer++) {
    ENGRAM_KERNEL(w->k, hash)(w->layouts[layer], w->windows, w->tokens, (int64_t *)ids);
    ids += w->tokens * engram_columns(w->layouts[layer]);
  }
  ids = w->row_ids;
  uint8_t *out = w->rows;
  for (int layer = 0; layer < w->layers; layer++) {
    int64_t count = w->tokens * engram_columns(w->layouts[layer]);
    int status = engram_gather_rows(w->k, w->tables[layer], ids, count, out, w->out_type);
    if (status != ENGRAM_OK) {
      return status;
    }
    ids += count;
    out += count * w->tables[layer]->head_dim * engram_out_bytes(w->out_type);
  }
  return ENGRAM_OK;
}

int engram_lookup(int tier, int layers, const struct engram_layout *const *layouts,
                  const struct engram_table *const *tables, const int *windows, long long tokens,
                  long long *row_ids, void *rows, int out_type) {
  const struct engram_kernels *k = engram_kernels_of(tier);
  if (!k) {
    return ENGRAM_ERROR_TIER;
  }
  if (layers < 1 || !layouts || !tables || !windows || tokens < 0 || !row_ids || !rows ||
      (out_type != ENGRAM_F32 && out_type != ENGRAM_BF16)) {
    return ENGRAM_ERROR_ARGUMENT;
  }
  for (int layer = 0; layer < layers; layer++) {
    if (!layouts[layer] || !tables[layer]) {
      return ENGRAM_ERROR_ARGUMENT;
    }
    if (layouts[layer]->struct_size != sizeof **layouts ||
        tables[layer]->struct_size != sizeof **tables) {
      return ENGRAM_ERROR_STRUCT;
    }
    if (!is_layout(layouts[layer]) || !is_table(tables[layer]) ||
        layouts[layer]->max_ngram != layouts[0]->max_ngram) {
      return ENGRAM_ERROR_ARGUMENT;
    }
  }
  struct lookup_work work = {k, layers, layouts, tables, windows, tokens, row_ids, rows, out_type};
  return engram_guarded(lookup, &work);
}

static int is_linear(const struct engram_linear *linear) {
  if (engram_row_is_weight(linear->type) != 1 || linear->outputs < 1 || linear->inputs < 1 ||
      !linear->weight || (linear->nan_free && linear->type != ENGRAM_F8_E4M3) ||
      linear->weight_stride < engram_row_bytes(linear->type, linear->inputs)) {
    return 0;
  }
  return engram_has_scales_beside(linear->type)
             ? linear->scale && linear->scale_stride >= engram_tiles(linear->inputs)
             : !linear->scale;
}

struct nan_work {
  const struct engram_kernels *k;
  const struct engram_linear *linear;
};

static int nan_free(void *arguments) {
  const struct nan_work *w = arguments;
  const uint8_t *codes = w->linear->weight;
  for (int output = 0; output < w->linear->outputs; output++) {
    if (!ENGRAM_KERNEL(w->k, nan_free)(codes + output * (int64_t)w->linear->weight_stride,
                                       w->linear->inputs)) {
      return 0;
    }
  }
  return 1;
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
  struct nan_work work = {k, linear};
  return engram_guarded(nan_free, &work);
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

struct project_work {
  const struct engram_kernels *k;
  const struct engram_linear *linear;
  const float *in;
  long long tokens;
  int first;
  int count;
  float *out;
  long long out_stride;
  void *scratch; /* null: without */
};

static int project(void *arguments) {
  const struct project_work *w = arguments;
  if (w->scratch) {
    with_batches(w->k)->project_batch(w->linear, w->in, w->tokens, w->first, w->count, w->out,
                                      w->out_stride, w->scratch);
  } else {
    ENGRAM_KERNEL(w->k, project)
    (w->linear, w->in, w->tokens, w->first, w->count, w->out, w->out_stride);
  }
  engram_repair_overflow(w->linear, w->in, w->tokens, w->first, w->count, w->out, w->out_stride);
  return ENGRAM_OK;
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
  struct project_work work = {
      k, linear, in, tokens, first, count, out, out_stride, bytes > 0 ? scratch : NULL};
  int status = engram_guarded(project, &work);
  if (status == ENGRAM_ERROR_MEMORY && work.scratch && with_batches(k)->abandon) {
    with_batches(k)->abandon();
  }
  return status;
}

struct gate_work {
  const struct engram_kernels *k;
  const struct engram_gate_weights *gate;
  const float *kv;
  void *stream;
  int type;
  long long token_stride;
  long long branch_stride;
  const signed char *mask;
  long long tokens;
  float *gates;
  float *gated;
};

static int gate_tokens(void *arguments) {
  const struct gate_work *w = arguments;
  ENGRAM_KERNEL(w->k, gate)
  (w->gate, w->kv, w->stream, w->type, w->token_stride, w->branch_stride, w->mask, w->tokens,
   w->gates, w->gated);
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
  struct gate_work work = {k,    gate,   kv,    stream, type, token_stride, branch_stride,
                           mask, tokens, gates, gated};
  return engram_guarded(gate_tokens, &work);
}

struct conv_work {
  const struct engram_kernels *k;
  const struct engram_conv_weights *conv;
  float *gated;
  float *window;
  const signed char *mask;
  long long tokens;
  void *stream;
  int type;
  long long token_stride;
  long long branch_stride;
};

static int convolve(void *arguments) {
  const struct conv_work *w = arguments;
  ENGRAM_KERNEL(w->k, conv)
  (w->conv, w->gated, w->window, w->mask, w->tokens, w->stream, w->type, w->token_stride,
   w->branch_stride);
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
  float *own = window + first * conv->branches * (int64_t)conv->hidden;
  struct conv_work work = {k,      conv,   gated, own,          mask,
                           tokens, stream, type,  token_stride, branch_stride};
  return engram_guarded(convolve, &work);
}
