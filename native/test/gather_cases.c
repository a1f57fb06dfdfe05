#include "harness.h"

#define TYPES 24

/* Bytes of a row's elements, scales and biases. */
struct row_size {
  long long weight;
  long long scale;
  long long bias;
};

static struct row_size size_of(int type, long long head_dim) {
  struct engram_row_type about = {.struct_size = sizeof about};
  expect(engram_describe_row_type(type, &about) == ENGRAM_OK, "row type", type);
  long long blocks = (head_dim + about.block_elements - 1) / about.block_elements;
  long long cut = (head_dim * about.block_bytes + about.block_elements - 1) / about.block_elements;
  struct row_size size = {about.scales == ENGRAM_SCALES_IN_ROW ? blocks * about.block_bytes : cut,
                          blocks * about.scale_bytes, blocks * about.bias_bytes};
  return size;
}

static unsigned char *random_bytes(size_t count) {
  unsigned char *bytes = guarded(count);
  for (size_t i = 0; i < count; i++) {
    bytes[i] = (unsigned char)next();
  }
  return bytes;
}

/* NaNs may differ in their bits: their payload is nobody's business. */
static void compare(int tier, const struct engram_table *table, const long long *ids,
                    long long count, int out_type) {
  size_t step = out_type == ENGRAM_F32 ? 4 : 2;
  size_t bytes = (size_t)(count * table->head_dim) * step;
  unsigned char *actual = guarded(bytes);
  unsigned char *expected = guarded(bytes);
  expect(engram_gather(tier, table, ids, count, actual, out_type) == ENGRAM_OK, "gather status",
         count);
  expect(engram_gather(ENGRAM_TIER_SCALAR, table, ids, count, expected, out_type) == ENGRAM_OK,
         "gather status", count);
  unsigned infinity = out_type == ENGRAM_F32 ? 0x7f800000u : 0x7f80u;
  unsigned magnitude = out_type == ENGRAM_F32 ? 0x7fffffffu : 0x7fffu;
  for (size_t i = 0; i < bytes; i += step) {
    unsigned a = 0;
    unsigned e = 0;
    __builtin_memcpy(&a, actual + i, step);
    __builtin_memcpy(&e, expected + i, step);
    int both_nan = (a & magnitude) > infinity && (e & magnitude) > infinity;
    expect(a == e || both_nan, "gather", (long long)i);
  }
}

/* Random rows, their scales and biases apart or interleaved. */
static struct engram_shard random_rows(const struct engram_table *table, struct row_size size,
                                       int interleaved, long long first, long long rows) {
  struct engram_shard shard = {first, NULL, NULL, NULL};
  if (interleaved) {
    long long all = (rows - 1) * table->weight_stride + size.weight + size.scale + size.bias;
    unsigned char *bytes = random_bytes((size_t)all);
    shard.weight = bytes;
    shard.scale = size.scale ? bytes + size.weight : NULL;
    shard.bias = size.bias ? bytes + size.weight + size.scale : NULL;
  } else {
    shard.weight = random_bytes((size_t)(rows * size.weight));
    shard.scale = size.scale ? random_bytes((size_t)(rows * size.scale)) : NULL;
    shard.bias = size.bias ? random_bytes((size_t)(rows * size.bias)) : NULL;
  }
  return shard;
}

/* A table of random bytes, in one place or in several of any lengths. */
static struct engram_table random_table(int type, int head_dim, long long rows) {
  static const float factors[] = {1, 0.0078125f, 1.9931793e-4f, -3, 1e30f};
  struct row_size size = size_of(type, head_dim);
  struct engram_table table = {.struct_size = sizeof table,
                               .type = type,
                               .head_dim = head_dim,
                               .factor = factors[below(5)],
                               .rows = rows};
  int interleaved = (int)below(2);
  if (interleaved) {
    long long stride = size.weight + size.scale + size.bias + below(9);
    table.weight_stride = table.scale_stride = table.bias_stride = stride;
  } else {
    table.weight_stride = size.weight;
    table.scale_stride = size.scale;
    table.bias_stride = size.bias;
  }
  if (below(2)) {
    struct engram_shard all = random_rows(&table, size, interleaved, 0, rows);
    table.weight = all.weight;
    table.scale = all.scale;
    table.bias = all.bias;
    return table;
  }
  struct engram_shard *shards = guarded(sizeof *shards * (size_t)(rows + 1));
  long long first = 0;
  while (first < rows) {
    long long some = 1 + below(rows - first);
    struct engram_shard own = random_rows(&table, size, interleaved, first, some);
    __builtin_memcpy(shards + table.shards++, &own, sizeof own);
    first += some;
  }
  struct engram_shard end = {rows, NULL, NULL, NULL};
  __builtin_memcpy(shards + table.shards, &end, sizeof end);
  table.shard = shards;
  return table;
}

static long long *random_ids(long long rows, long long count) {
  long long *ids = guarded(sizeof(long long) * (size_t)count);
  for (long long i = 0; i < count; i++) {
    long long id = below(4) == 0 ? rows - 1 : below(rows + 1) - 1;
    __builtin_memcpy(ids + i, &id, sizeof id);
  }
  return ids;
}

void gather_case(int tier) {
  int type = (int)below(TYPES);
  int out_type = (int)below(2);
  int head_dim = below(3) == 0 ? 256 : size();
  long long rows = 1 + below(40);
  long long count = below(60);
  struct engram_table table = random_table(type, head_dim, rows);
  long long *ids = random_ids(rows, count);
  compare(tier, &table, ids, count, out_type);
  if (count > 0) {
    long long bad = next() & 1 ? rows + below(1LL << 40) : -2 - below(1LL << 40);
    __builtin_memcpy(ids + below(count), &bad, sizeof bad);
    void *out = guarded((size_t)(count * head_dim) * 4);
    expect(engram_gather(tier, &table, ids, count, out, out_type) == ENGRAM_ERROR_ROW, "bad row id",
           bad);
  }
}

/* Rows of V4.1's width and the paper's, of every type. */
void gather_mass(int tier, long long rows) {
  const long long some = 4200; /* as floats more than is stored into the caches */
  for (long long done = 0; done < rows; done += some) {
    int type = (int)(done / some % TYPES);
    int head_dim = done / some / TYPES % 2 ? 32 : 256;
    struct engram_table table = random_table(type, head_dim, 500);
    compare(tier, &table, random_ids(500, some), some, (int)(next() & 1));
    release();
  }
}

/* Scales that begin behind the first row and are not packed: nothing beyond them may be read. */
void gather_strides(int tier) {
  unsigned char *data = random_bytes(512 + 256);
  struct engram_table table = {.struct_size = sizeof table,
                               .type = ENGRAM_F8_E4M3,
                               .head_dim = 256,
                               .factor = 1,
                               .rows = 2,
                               .weight = data,
                               .scale = data + 256,
                               .weight_stride = 512,
                               .scale_stride = 8};
  long long *ids = guarded(sizeof(long long) * 2);
  for (int i = 0; i < 2; i++) {
    long long id = 1 - i;
    __builtin_memcpy(ids + i, &id, sizeof id);
  }
  compare(tier, &table, ids, 2, ENGRAM_F32);
  release();
}

void gather_codes(int tier) {
  unsigned char *weight = guarded(256 * 256);
  unsigned char *scale = guarded(256 * 8);
  long long *ids = guarded(sizeof(long long) * 256);
  for (int row = 0; row < 256; row++) {
    for (int code = 0; code < 256; code++) {
      weight[row * 256 + code] = (unsigned char)code;
    }
    for (int block = 0; block < 8; block++) {
      scale[row * 8 + block] = (unsigned char)row;
    }
    long long id = row;
    __builtin_memcpy(ids + row, &id, sizeof id);
  }
  struct engram_table table = {.struct_size = sizeof table,
                               .type = ENGRAM_F8_E4M3,
                               .head_dim = 256,
                               .factor = 1,
                               .rows = 256,
                               .weight = weight,
                               .scale = scale,
                               .weight_stride = 256,
                               .scale_stride = 8};
  compare(tier, &table, ids, 256, ENGRAM_F32);
  compare(tier, &table, ids, 256, ENGRAM_BF16);
  for (int row = 0; row < 256; row++) { /* rows with a NaN go another way than those without */
    weight[row * 256 + 0x7f] = weight[row * 256 + 0xff] = (unsigned char)row & 0x77;
  }
  compare(tier, &table, ids, 256, ENGRAM_F32);
  compare(tier, &table, ids, 256, ENGRAM_BF16);
  /* every half and every bf16 there is: 65,536 codes in 256 rows of 256 */
  unsigned short *words = guarded(65536 * 2);
  for (int i = 0; i < 65536; i++) {
    unsigned short word = (unsigned short)i;
    __builtin_memcpy(words + i, &word, sizeof word);
  }
  for (int type = ENGRAM_BF16; type <= ENGRAM_F16; type++) {
    struct engram_table plain = {.struct_size = sizeof plain,
                                 .type = type,
                                 .head_dim = 256,
                                 .factor = 1,
                                 .rows = 256,
                                 .weight = words,
                                 .weight_stride = 512};
    compare(tier, &plain, ids, 256, ENGRAM_F32);
    compare(tier, &plain, ids, 256, ENGRAM_BF16);
  }
  release();
}
