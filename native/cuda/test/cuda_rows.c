/* Rows of random tables, of every type and every code: from the table, from a cache, unwidened. */
#include "cases.h"

#define TYPES 24

struct random_table {
  struct engram_table table;
  int blocks;
  long long row_bytes; /* with scales and biases */
};

static unsigned char *random_bytes(long long count) {
  unsigned char *made = guarded((size_t)count);
  for (long long i = 0; i < count; i++) {
    made[i] = (unsigned char)next(); /* every code, NaN among them */
  }
  return made;
}

static struct random_table random_table(int type, int dim, long long rows) {
  static const float factors[] = {1, 0.0078125f, -3, 1e30f};
  struct engram_row_type about = {.struct_size = sizeof about};
  ok(engram_describe_row_type(type, &about), "row type");
  int blocks = (dim + about.block_elements - 1) / about.block_elements;
  long long weights =
      ((long long)dim * about.block_bytes + about.block_elements - 1) / about.block_elements;
  if (about.scales == ENGRAM_SCALES_IN_ROW) {
    weights = (long long)blocks * about.block_bytes;
  }
  long long scales = (long long)blocks * about.scale_bytes;
  long long biases = (long long)blocks * about.bias_bytes;
  struct random_table made = {{.struct_size = sizeof made.table,
                               .type = type,
                               .head_dim = dim,
                               .factor = factors[below(4)],
                               .rows = rows},
                              blocks,
                              weights + scales + biases};
  struct engram_table *table = &made.table;
  int packed = (int)below(2);
  table->weight_stride = packed ? made.row_bytes : weights + below(3);
  table->scale_stride = packed ? made.row_bytes : scales;
  table->bias_stride = packed ? made.row_bytes : biases;
  struct engram_shard *shards = guarded(sizeof *shards * (size_t)(rows + 1));
  long long most = below(2) ? rows : 1 + rows / (1 + below(4));
  for (long long first = 0; first < rows; first += most) {
    long long some = rows - first < most ? rows - first : most;
    unsigned char *weight = random_bytes(some * table->weight_stride);
    struct engram_shard own = {first, weight, NULL, NULL};
    if (scales) {
      own.scale = packed ? weight + weights : random_bytes(some * scales);
    }
    if (biases) {
      own.bias = packed ? weight + weights + scales : random_bytes(some * biases);
    }
    shards[table->shards++] = own;
  }
  shards[table->shards].first = rows;
  table->shard = shards;
  if (table->shards == 1) {
    table->weight = shards[0].weight;
    table->scale = shards[0].scale;
    table->bias = shards[0].bias;
    table->shards = 0;
  }
  return made;
}

static int some_dim(void) {
  int dim = 1 + (int)below(300);
  return below(2) ? (dim + 7) / 8 * 8 : dim; /* what lanes take at once, or not */
}

static long long *random_ids(long long count, long long rows) {
  long long *ids = guarded(sizeof(long long) * (size_t)count);
  for (long long i = 0; i < count; i++) {
    ids[i] = below(rows + 1) - 1; /* -1 among them */
  }
  return ids;
}

static void expect_rows(const unsigned char *out, const unsigned char *truth, long long elements,
                        int out_type) {
  for (long long i = 0; i < elements; i++) {
    if (out_type == ENGRAM_F32) {
      float a;
      float b;
      memcpy(&a, out + 4 * i, 4);
      memcpy(&b, truth + 4 * i, 4);
      expect((is_nan(a) && is_nan(b)) || memcmp(&a, &b, 4) == 0, "cuda row", i);
    } else {
      unsigned short a;
      unsigned short b;
      memcpy(&a, out + 2 * i, 2);
      memcpy(&b, truth + 2 * i, 2);
      expect(a == b || ((a & 0x7fff) > 0x7f80 && (b & 0x7fff) > 0x7f80), "cuda row", i);
    }
  }
}

/* Where cuBLAS looks for a scale, written down another way than the kernel has it. */
static long long tile_place(long long token, long long block, long long blocks) {
  long long tiles_across = (blocks + 3) / 4;
  long long tile = token / 128 * tiles_across + block / 4;
  long long row = token % 128; /* of the tile: 32 rows of 4 groups of 4 scales */
  return 512 * tile + 16 * (row % 32) + 4 * (row / 32) + block % 4;
}

static void copy_case(struct random_table made, const long long *ids, long long count,
                      struct engram_cuda_queue *on) {
  int columns = made.table.head_dim % ENGRAM_BLOCK == 0 ? 1 + (int)below(3) : 1;
  int layout = below(2) ? ENGRAM_CUDA_SCALES_ROWS : ENGRAM_CUDA_SCALES_TILES;
  count = count / columns * columns;
  long long tokens = count / columns;
  long long across = (long long)columns * made.blocks;
  long long scale_bytes = layout == ENGRAM_CUDA_SCALES_ROWS
                              ? tokens * across
                              : (tokens + 127) / 128 * ((across + 3) / 4) * 512;
  unsigned char *codes = guarded((size_t)(count * made.table.head_dim));
  unsigned char *scales = guarded((size_t)scale_bytes);
  ok(engram_cuda_copy_rows(on, &made.table, ids, count, columns, codes, scales, layout, NULL),
     "copy rows");
  finish("copy rows");
  for (long long i = 0; i < count; i++) {
    const unsigned char *weight = made.table.weight;
    const unsigned char *scale = made.table.scale;
    for (int k = 0; k < made.table.head_dim; k++) {
      int code = ids[i] < 0 ? 0 : weight[ids[i] * made.table.weight_stride + k];
      expect(codes[i * made.table.head_dim + k] == code, "copied code", i);
    }
    for (int k = 0; k < made.blocks; k++) {
      int code = ids[i] < 0 ? 0 : scale[ids[i] * made.table.scale_stride + k];
      long long block = i % columns * made.blocks + k;
      long long at = layout == ENGRAM_CUDA_SCALES_ROWS ? i / columns * across + block
                                                       : tile_place(i / columns, block, across);
      expect(scales[at] == code, "copied scale", i);
    }
  }
}

void rows_on_device(void) {
  struct random_table made = random_table((int)below(TYPES), some_dim(), 1 + below(30));
  long long count = below(60);
  int out_type = below(2) ? ENGRAM_F32 : ENGRAM_BF16;
  int dim = made.table.head_dim;
  long long *ids = random_ids(count, made.table.rows);
  size_t bytes = (size_t)(count * dim * (out_type == ENGRAM_F32 ? 4 : 2));
  unsigned char *out = guarded(bytes);
  unsigned char *truth = guarded(bytes);
  long long *bad = guarded(sizeof(long long));
  *bad = -1;
  struct engram_cuda_queue on = some_queue();
  ok(engram_cuda_gather(&on, &made.table, NULL, ids, count, out, out_type, bad), "gather");
  finish("gather");
  ok(engram_gather(ENGRAM_TIER_SCALAR, &made.table, ids, count, truth, out_type), "scalar gather");
  expect(*bad == -1, "no id is outside", 0);
  expect_rows(out, truth, count * dim, out_type);
  if (made.table.type == ENGRAM_F8_E4M3 && !made.table.shards) {
    copy_case(made, ids, count, &on);
  }
  if (count > 0) { /* an id beyond the table is told, and read as zeros */
    long long at = below(count);
    ids[at] =
        below(2) ? made.table.rows + below(2) * below(1LL << 40) : -2 - below(2) * below(1LL << 40);
    ok(engram_cuda_gather(&on, &made.table, NULL, ids, count, out, out_type, bad), "gather");
    finish("gather");
    expect(*bad == at, "the id outside", at);
    expect(out[(size_t)at * (size_t)dim * (out_type == ENGRAM_F32 ? 4 : 2)] == 0, "zeros", at);
  }
  release();
}

static long long held(const struct engram_cuda_cache *cache, long long row) {
  long long slots = 0;
  for (long long i = 0; i < cache->sets * cache->ways; i++) {
    slots += cache->tags[i] >= 0 && (cache->tags[i] & ((1LL << 61) - 1)) == row;
  }
  return slots;
}

/* Rows come from the cache where they are in it; what stays, stays; nothing is held twice. */
void cache_on_device(void) {
  struct random_table made = random_table((int)below(TYPES), some_dim(), 1 + below(60));
  int dim = made.table.head_dim;
  int ways = 1 + (int)below(5);
  long long sets = 1LL << below(4);
  long long bytes = made.row_bytes;
  long long stride = bytes + below(9);
  long long *tags = guarded(sizeof(long long) * (size_t)(sets * ways));
  unsigned char *slots = guarded((size_t)(sets * ways * stride));
  long long *counts = guarded(2 * sizeof(long long));
  memset(tags, 0xff, sizeof(long long) * (size_t)(sets * ways));
  counts[0] = counts[1] = 0;
  struct engram_cuda_cache cache = {sizeof cache, ways, sets, tags, slots, stride, counts};
  struct engram_cuda_queue on = some_queue();
  long long stays = below(20);
  long long comes = below(40);
  long long *staying = random_ids(stays, made.table.rows);
  long long *coming = random_ids(comes, made.table.rows);
  ok(engram_cuda_insert(&on, &made.table, &cache, staying, stays, 1), "insert");
  finish("insert");
  long long kept[8 * 5];
  memcpy(kept, tags, sizeof(long long) * (size_t)(sets * ways));
  if (comes > 0) {
    coming[0] = made.table.rows + below(100); /* is left out */
  }
  ok(engram_cuda_insert(&on, &made.table, &cache, coming, comes, 0), "insert");
  long long count = below(60);
  int out_type = below(2) ? ENGRAM_F32 : ENGRAM_BF16;
  long long *ids = random_ids(count, made.table.rows);
  size_t all = (size_t)(count * dim * (out_type == ENGRAM_F32 ? 4 : 2));
  unsigned char *out = guarded(all);
  unsigned char *truth = guarded(all);
  ok(engram_gather(ENGRAM_TIER_SCALAR, &made.table, ids, count, truth, out_type), "scalar gather");
  finish("insert");
  long long hits = 0;
  long long misses = 0;
  for (long long i = 0; i < count; i++) {
    hits += ids[i] >= 0 && held(&cache, ids[i]) > 0;
    misses += ids[i] >= 0 && held(&cache, ids[i]) == 0;
  }
  for (long long i = 0; i < sets * ways; i++) {
    expect(kept[i] < 0 || kept[i] == tags[i], "what stays", i);
    expect(tags[i] == -1 || held(&cache, tags[i] & ((1LL << 61) - 1)) == 1, "held once", i);
  }
  for (long long row = made.table.rows; row < made.table.rows + 100; row++) {
    expect(held(&cache, row) == 0, "a row outside", row);
  }
  ok(engram_cuda_gather(&on, &made.table, &cache, ids, count, out, out_type, NULL), "gather");
  finish("gather");
  expect_rows(out, truth, count * dim, out_type);
  expect(counts[0] == hits && counts[1] == misses, "hits and misses", counts[0]);
  release();
}
