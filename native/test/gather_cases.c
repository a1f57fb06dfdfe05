#include "harness.h"

static size_t width_of(int type) {
  return type == ENGRAM_F32 ? 4 : type == ENGRAM_F8_E4M3 ? 1 : 2;
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

/* A table of random bytes, its scales apart or interleaved with its rows. */
static struct engram_table random_table(int type, int head_dim, long long rows) {
  long long bytes = (long long)((size_t)head_dim * width_of(type));
  long long scales = type == ENGRAM_F8_E4M3 ? (head_dim + 31) / 32 : 0;
  struct engram_table table = {sizeof table, type, head_dim, 0, rows, NULL, NULL, bytes, scales};
  if (below(2)) {
    table.weight_stride = table.scale_stride = bytes + scales + below(9);
    unsigned char *both = random_bytes((size_t)((rows - 1) * table.weight_stride + bytes + scales));
    table.weight = both;
    table.scale = scales ? both + bytes : NULL;
  } else {
    table.weight = random_bytes((size_t)(rows * bytes));
    table.scale = scales ? random_bytes((size_t)(rows * scales)) : NULL;
  }
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
  int type = (int)below(4);
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
    int type = (int)(done / some % 4);
    int head_dim = done / some / 4 % 2 ? 256 : 32;
    struct engram_table table = random_table(type, head_dim, 500);
    compare(tier, &table, random_ids(500, some), some, (int)(next() & 1));
    release();
  }
}

/* Scales that begin behind the first row and are not packed: nothing beyond them may be read. */
void gather_strides(int tier) {
  unsigned char *data = random_bytes(512 + 256);
  struct engram_table table = {sizeof table, ENGRAM_F8_E4M3, 256, 0, 2, data, data + 256, 512, 8};
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
  struct engram_table table = {sizeof table, ENGRAM_F8_E4M3, 256, 0, 256, weight, scale, 256, 8};
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
    struct engram_table plain = {sizeof plain, type, 256, 0, 256, words, NULL, 512, 0};
    compare(tier, &plain, ids, 256, ENGRAM_F32);
    compare(tier, &plain, ids, 256, ENGRAM_BF16);
  }
  release();
}
