#include "harness.h"

#define ARGUMENT ENGRAM_ERROR_ARGUMENT

static void hash_arguments(int tier) {
  long long numbers[2] = {7, 5};
  double inverse[1] = {1.0 / 7};
  int window[2] = {0, 0};
  long long ids[1];
  struct engram_layout good = {sizeof good, 2, 1, 0, numbers, numbers, numbers, inverse};
  expect(engram_hash(tier, &good, window, 1, ids) == ENGRAM_OK, "good hash", 0);
  expect(engram_hash(99, &good, window, 1, ids) == ENGRAM_ERROR_TIER, "tier", 99);
  expect(engram_hash(-1, &good, window, 1, ids) == ENGRAM_ERROR_TIER, "tier", -1);
  expect(engram_hash(tier, NULL, window, 1, ids) == ARGUMENT, "null layout", 0);
  expect(engram_hash(tier, &good, NULL, 1, ids) == ARGUMENT, "null windows", 0);
  expect(engram_hash(tier, &good, window, 1, NULL) == ARGUMENT, "null row ids", 0);
  expect(engram_hash(tier, &good, window, -1, ids) == ARGUMENT, "negative tokens", 0);
  struct engram_layout bad = good;
  bad.struct_size++;
  expect(engram_hash(tier, &bad, window, 1, ids) == ENGRAM_ERROR_STRUCT, "layout size", 0);
  bad = good;
  bad.max_ngram = next() & 1 ? 1 : 65;
  expect(engram_hash(tier, &bad, window, 1, ids) == ARGUMENT, "max_ngram", bad.max_ngram);
  bad = good;
  bad.heads = -(int)below(3);
  expect(engram_hash(tier, &bad, window, 1, ids) == ARGUMENT, "heads", bad.heads);
}

static void gather_arguments(int tier) {
  float data[4] = {1, 2, 3, 4};
  float out[4];
  long long ids[1] = {0};
  struct engram_table good = {.struct_size = sizeof good,
                              .type = ENGRAM_F32,
                              .head_dim = 4,
                              .factor = 1,
                              .rows = 1,
                              .weight = data,
                              .weight_stride = 16};
  expect(engram_gather(tier, &good, ids, 1, out, ENGRAM_F32) == ENGRAM_OK, "good gather", 0);
  expect(engram_gather(99, &good, ids, 1, out, ENGRAM_F32) == ENGRAM_ERROR_TIER, "tier", 99);
  expect(engram_gather(tier, NULL, ids, 1, out, ENGRAM_F32) == ARGUMENT, "null table", 0);
  expect(engram_gather(tier, &good, NULL, 1, out, ENGRAM_F32) == ARGUMENT, "null ids", 0);
  expect(engram_gather(tier, &good, ids, 1, NULL, ENGRAM_F32) == ARGUMENT, "null out", 0);
  expect(engram_gather(tier, &good, ids, -1, out, ENGRAM_F32) == ARGUMENT, "count", -1);
  expect(engram_gather(tier, &good, ids, 1, out, ENGRAM_F16) == ARGUMENT, "out type", 0);
  struct engram_table bad = good;
  bad.struct_size--;
  expect(engram_gather(tier, &bad, ids, 1, out, ENGRAM_F32) == ENGRAM_ERROR_STRUCT, "size", 0);
  bad = good;
  bad.type = next() & 1 ? -1 : 24;
  expect(engram_gather(tier, &bad, ids, 1, out, ENGRAM_F32) == ARGUMENT, "type", bad.type);
  bad = good;
  bad.type = ENGRAM_F8_E4M3; /* and no scale */
  expect(engram_gather(tier, &bad, ids, 1, out, ENGRAM_F32) == ARGUMENT, "scale", 0);
  bad = good;
  bad.head_dim = -(int)below(2);
  expect(engram_gather(tier, &bad, ids, 1, out, ENGRAM_F32) == ARGUMENT, "head_dim", 0);
  bad = good;
  bad.weight_stride--;
  expect(engram_gather(tier, &bad, ids, 1, out, ENGRAM_F32) == ARGUMENT, "stride", 0);
  bad = good;
  bad.rows = -below(2);
  expect(engram_gather(tier, &bad, ids, 1, out, ENGRAM_F32) == ARGUMENT, "rows", 0);
}

/* Two layers at once, against the stages; and what is refused. */
static void lookup_arguments(int tier) {
  float data[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
  long long multipliers[2] = {3, 5};
  long long primes[1] = {3};
  long long offsets[1] = {0};
  double inverses[1] = {1.0 / 3};
  struct engram_layout layout = {sizeof layout, 2, 1, 0, multipliers, primes, offsets, inverses};
  struct engram_table table = {.struct_size = sizeof table,
                               .type = ENGRAM_F32,
                               .head_dim = 4,
                               .factor = 1,
                               .rows = 3,
                               .weight = data,
                               .weight_stride = 16};
  const struct engram_layout *layouts[2] = {&layout, &layout};
  const struct engram_table *tables[2] = {&table, &table};
  int windows[4] = {1, 2, 3, 4};
  long long ids[4] = {-9, -9, -9, -9};
  long long expected[2];
  float out[16];
  int f32 = ENGRAM_F32;
  expect(engram_lookup(tier, 2, layouts, tables, windows, 2, ids, out, f32) == ENGRAM_OK, "two", 0);
  engram_hash(tier, &layout, windows, 2, expected);
  for (int i = 0; i < 16; i++) {
    long long id = expected[i / 4 % 2];
    expect(ids[i / 4] == id && out[i] == data[id * 4 + i % 4], "lookup", i);
  }
  expect(engram_lookup(99, 2, layouts, tables, windows, 2, ids, out, f32) == ENGRAM_ERROR_TIER,
         "tier", 99);
  expect(engram_lookup(tier, 0, layouts, tables, windows, 2, ids, out, f32) == ARGUMENT, "none", 0);
  expect(engram_lookup(tier, 2, NULL, tables, windows, 2, ids, out, f32) == ARGUMENT, "null", 0);
  expect(engram_lookup(tier, 2, layouts, NULL, windows, 2, ids, out, f32) == ARGUMENT, "null", 1);
  expect(engram_lookup(tier, 2, layouts, tables, NULL, 2, ids, out, f32) == ARGUMENT, "null", 2);
  expect(engram_lookup(tier, 2, layouts, tables, windows, -1, ids, out, f32) == ARGUMENT, "tokens",
         -1);
  expect(engram_lookup(tier, 2, layouts, tables, windows, 2, ids, out, 9) == ARGUMENT, "type", 9);
  struct engram_layout longer = layout;
  longer.max_ngram = 3;
  layouts[1] = &longer;
  expect(engram_lookup(tier, 2, layouts, tables, windows, 2, ids, out, f32) == ARGUMENT, "window",
         3);
  layouts[1] = NULL;
  expect(engram_lookup(tier, 2, layouts, tables, windows, 2, ids, out, f32) == ARGUMENT, "null", 3);
  layouts[1] = &layout;
  struct engram_table shorter = table;
  shorter.rows = 1;
  tables[1] = &shorter;
  int status = engram_lookup(tier, 2, layouts, tables, windows, 2, ids, out, f32);
  int outside = expected[0] > 0 || expected[1] > 0;
  expect(status == (outside ? ENGRAM_ERROR_ROW : ENGRAM_OK), "row", status);
}

static void project_arguments(int tier) {
  float data[4] = {1, 2, 3, 4};
  float out[4];
  struct engram_linear good = {sizeof good, ENGRAM_F32, 2, 2, data, NULL, NULL, 8, 0, 0, 0};
  expect(engram_project(tier, &good, data, 1, 0, 2, out, 2, NULL, 0) == ENGRAM_OK, "good project",
         0);
  expect(engram_project(99, &good, data, 1, 0, 2, out, 2, NULL, 0) == ENGRAM_ERROR_TIER, "tier",
         99);
  expect(engram_project(tier, &good, NULL, 1, 0, 2, out, 2, NULL, 0) == ARGUMENT, "null in", 0);
  expect(engram_project(tier, &good, data, -1, 0, 2, out, 2, NULL, 0) == ARGUMENT, "tokens", -1);
  expect(engram_project(tier, &good, data, 1, -1, 2, out, 2, NULL, 0) == ARGUMENT, "first", -1);
  expect(engram_project(tier, &good, data, 1, 1, 2, out, 2, NULL, 0) == ARGUMENT, "range", 3);
  expect(engram_project(tier, &good, data, 1, 0x7fffffff, 2, out, 2, NULL, 0) == ARGUMENT, "range",
         0);
  expect(engram_project(tier, &good, data, 1, 0, 2, out, 1, NULL, 0) == ARGUMENT, "stride", 1);
  expect(engram_project(tier, &good, data, 1, 0, 2, out, 2, (char *)data + 1, 0) == ARGUMENT,
         "scratch's alignment", 1);
  expect(engram_project_scratch(99, &good, 1) == ENGRAM_ERROR_TIER, "scratch tier", 99);
  expect(engram_project_scratch(tier, NULL, 1) == ARGUMENT, "scratch of null", 0);
  expect(engram_project_scratch(tier, &good, -1) == ARGUMENT, "scratch tokens", -1);
  struct engram_linear bad = good;
  bad.struct_size = 0;
  expect(engram_project(tier, &bad, data, 1, 0, 2, out, 2, NULL, 0) == ENGRAM_ERROR_STRUCT, "size",
         0);
  bad = good;
  bad.scale = data; /* which floats have not */
  expect(engram_project(tier, &bad, data, 1, 0, 2, out, 2, NULL, 0) == ARGUMENT, "scale", 0);
  bad = good;
  bad.weight_stride = 7;
  expect(engram_project(tier, &bad, data, 1, 0, 2, out, 2, NULL, 0) == ARGUMENT, "weight stride",
         7);
  expect(engram_nan_free(tier, &bad) == ARGUMENT, "weight stride", 7);
  expect(engram_nan_free(tier, &good) == 0, "floats may be NaN", 0);
  expect(engram_nan_free(99, &good) == ENGRAM_ERROR_TIER, "tier", 99);
  expect(engram_nan_free(tier, NULL) == ARGUMENT, "null linear", 0);
  bad = good;
  bad.type = ENGRAM_F8_E4M3_TENSOR;
  expect(engram_project(tier, &bad, data, 1, 0, 2, out, 2, NULL, 0) == ARGUMENT, "type", bad.type);
}

static void gate_arguments(int tier) {
  float data[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  float out[4];
  signed char mask[1] = {1};
  struct engram_gate_weights good = {sizeof good, 1, 2, 0, data, 1e-6f, 0};
  expect(engram_gate(tier, &good, data, data + 4, 0, 8, 8, mask, 1, out, NULL) == ENGRAM_OK,
         "good gate", 0);
  expect(engram_gate(tier, &good, data, data + 4, ENGRAM_F16, 8, 8, mask, 1, out, NULL) == ARGUMENT,
         "type", ENGRAM_F16);
  expect(engram_gate(tier, &good, data, data + 4, 0, -8, 8, mask, 1, out, NULL) == ARGUMENT,
         "stride", -8);
  expect(engram_gate(tier, &good, data, data + 4, 0, 8, 8, NULL, 1, out, NULL) == ARGUMENT, "mask",
         0);
  good.branches = 0;
  expect(engram_gate(tier, &good, data, data + 4, 0, 8, 8, mask, 1, out, NULL) == ARGUMENT,
         "branches", 0);
  good.struct_size++;
  expect(
      engram_gate(tier, &good, data, data + 4, 0, 8, 8, mask, 1, out, NULL) == ENGRAM_ERROR_STRUCT,
      "size", 0);
}

static void conv_arguments(int tier) {
  float data[4] = {1, 2, 3, 4};
  float window[4] = {0};
  float out[4] = {0};
  signed char mask[1] = {1};
  int f32 = ENGRAM_F32;
  struct engram_conv_weights good = {sizeof good, 1, 1, 2, 1, 1e-5f, data, data};
  expect(engram_conv(tier, &good, data, window, 1, mask, 1, out, f32, 4, 4) == ENGRAM_OK,
         "good conv", 0);
  expect(engram_conv(99, &good, data, window, 1, mask, 1, out, f32, 4, 4) == ENGRAM_ERROR_TIER,
         "tier", 99);
  expect(engram_conv(tier, &good, data, NULL, 1, mask, 1, out, f32, 4, 4) == ARGUMENT, "window", 0);
  expect(engram_conv(tier, &good, data, window, 0, mask, 1, out, f32, 4, 4) == ARGUMENT, "first",
         0);
  expect(engram_conv(tier, &good, data, window, 1, NULL, 1, out, f32, 4, 4) == ARGUMENT, "mask", 0);
  expect(engram_conv(tier, &good, data, window, 1, mask, -1, out, f32, 4, 4) == ARGUMENT, "tokens",
         -1);
  expect(engram_conv(tier, &good, data, window, 1, mask, 1, NULL, f32, 4, 4) == ARGUMENT, "stream",
         0);
  expect(engram_conv(tier, &good, data, window, 1, mask, 1, out, ENGRAM_F16, 4, 4) == ARGUMENT,
         "type", ENGRAM_F16);
  expect(engram_conv(tier, &good, data, window, 1, mask, 1, out, f32, -4, 4) == ARGUMENT, "stride",
         -4);
  good.dilation = 0;
  expect(engram_conv(tier, &good, data, window, 1, mask, 1, out, f32, 4, 4) == ARGUMENT, "dilation",
         0);
  good.struct_size++;
  expect(engram_conv(tier, &good, data, window, 1, mask, 1, out, f32, 4, 4) == ENGRAM_ERROR_STRUCT,
         "size", 0);
}

/* The table of row types: each entry makes sense, and there are no others. */
static void row_types(void) {
  int types = 0;
  for (int type = -2; type < 100; type++) {
    struct engram_row_type about = {sizeof about, 0, 0, 0, 0, 0, 0, 0, NULL};
    int status = engram_describe_row_type(type, &about);
    if (status == ENGRAM_OK) {
      types++;
      expect(about.block_elements > 0 && about.block_bytes > 0 && about.name[0] != 0, "type", type);
      expect((about.scales == ENGRAM_SCALES_BESIDE) == (about.scale_bytes > 0), "scales", type);
    } else {
      expect(status == ARGUMENT, "no type", type);
    }
    about.struct_size++;
    expect(engram_describe_row_type(type, &about) != ENGRAM_OK, "size", type);
  }
  expect(types == 24, "types", types);
  expect(engram_describe_row_type(ENGRAM_F32, NULL) == ARGUMENT, "null", 0);
}

/* A null pointer in a struct is refused, not followed. */
static void null_in_structs(int tier) {
  long long numbers[2] = {7, 5};
  double inverse[1] = {1.0 / 7};
  int window[2] = {0, 0};
  long long ids[1];
  for (int i = 0; i < 4; i++) {
    struct engram_layout bad = {sizeof bad, 2, 1, 0, numbers, numbers, numbers, inverse};
    bad.multipliers = i == 0 ? NULL : numbers;
    bad.primes = i == 1 ? NULL : numbers;
    bad.offsets = i == 2 ? NULL : numbers;
    bad.inverses = i == 3 ? NULL : inverse;
    expect(engram_hash(tier, &bad, window, 1, ids) == ARGUMENT, "null in layout", i);
  }
}

void arguments(int tier) {
  expect(engram_abi() == ENGRAM_ABI, "abi", engram_abi());
  for (int status = 1; status >= -9; status--) {
    expect(engram_status_text(status)[0] != 0, "text", status);
  }
  for (int other = -1; other <= TIERS; other++) { /* a tier is refused with a reason, or runs */
    const char *problem = engram_tier_problem(other);
    float value = 1;
    float out;
    long long id = 0;
    struct engram_table table = {.struct_size = sizeof table,
                                 .type = ENGRAM_F32,
                                 .head_dim = 1,
                                 .factor = 1,
                                 .rows = 1,
                                 .weight = &value,
                                 .weight_stride = 4};
    int status = engram_gather(other, &table, &id, 1, &out, ENGRAM_F32);
    expect(status == (problem ? ENGRAM_ERROR_TIER : ENGRAM_OK), "tier", other);
    expect(!problem || problem[0] != 0, "reason", other);
  }
  hash_arguments(tier);
  gather_arguments(tier);
  lookup_arguments(tier);
  project_arguments(tier);
  gate_arguments(tier);
  conv_arguments(tier);
  row_types();
  null_in_structs(tier);
}
