/*
 * The stages on the golden model in V4.1's form, against what the reference recorded: for platforms
 * where no JVM runs the conformance suite. Arguments: the model's directory, where this runs, the
 * file to which tiers and comparisons are added.
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../include/engram.h"
#include "tiles.h"

enum { ORDERS = 4, HEADS = 8, COLUMNS = 24, HEAD_DIM = 64, BRANCHES = 4, HIDDEN = 160 };
enum { INPUTS = COLUMNS * HEAD_DIM, OUTPUTS = (BRANCHES + 1) * HIDDEN, WIDTH = BRANCHES * HIDDEN };
#define PAD 682         /* the compressed id of the padding token */
#define FIRST_PRIME 401 /* and on from there, column by column and layer by layer */
#define NORM_BOUND 2e-6 /* of key, value and stream: ||a - b|| <= bound ||b|| */
#define GATE_BOUND 5e-5

static const struct {
  int layer;
  const char *shard;
  long long multipliers[ORDERS]; /* as `engram inspect` reads them from the configuration */
} LAYERS[2] = {
    {1,
     "model-00001-of-00002.safetensors",
     {11037249507870107LL, 697082851509627LL, 5179238153297913LL, 10656327388702071LL}},
    {14,
     "model-00002-of-00002.safetensors",
     {9753189258393731LL, 7419053586506349LL, 4453572873564063LL, 11899570335625515LL}},
};

static long long compared;
static int failures;
static const char *running = "none";

static void expect(int condition, const char *what, int layer, long long at) {
  compared++;
  if (!condition) {
    fprintf(stderr, "FAILED: %s of layer %d at %lld, tier %s\n", what, layer, at, running);
    if (++failures >= 10) {
      fprintf(stderr, "stopped after %d failures\n", failures);
      exit(1);
    }
  }
}

static void fail(const char *what, const char *name) {
  fprintf(stderr, "%s: %s\n", what, name);
  exit(2);
}

/* A safetensors file, read whole: 8 bytes length, a JSON header, data. */
struct file {
  char *bytes;
  char *data;
};

static struct file read_file(const char *directory, const char *name) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%s", directory, name);
  FILE *in = fopen(path, "rb");
  if (!in || fseek(in, 0, SEEK_END)) {
    fail("cannot be opened", path);
  }
  long size = ftell(in);
  rewind(in);
  struct file file = {malloc((size_t)size + 1), NULL};
  if (!file.bytes || fread(file.bytes, 1, (size_t)size, in) != (size_t)size) {
    fail("cannot be read", path);
  }
  fclose(in);
  uint64_t header;
  memcpy(&header, file.bytes, 8);
  file.data = file.bytes + 8 + header;
  file.bytes[8 + header - 1] = 0; /* ends the text; the last character is a brace or a space */
  return file;
}

/* Finds a tensor's data, and its rows if they are wanted. */
static char *tensor(struct file file, int layer, const char *name, long long *rows) {
  char quoted[128];
  if (layer < 0) {
    snprintf(quoted, sizeof quoted, "\"%s\"", name);
  } else {
    snprintf(quoted, sizeof quoted, "\"layers.%d.%s\"", layer, name);
  }
  const char *at = strstr(file.bytes + 8, quoted);
  const char *shape = at ? strstr(at, "\"shape\"") : NULL;
  const char *offsets = at ? strstr(at, "\"data_offsets\"") : NULL;
  shape = shape ? strchr(shape, '[') : NULL;
  offsets = offsets ? strchr(offsets, '[') : NULL;
  if (!shape || !offsets) {
    fail("is not in the file", quoted);
  }
  if (rows) {
    *rows = strtoll(shape + 1, NULL, 10);
  }
  return file.data + strtoll(offsets + 1, NULL, 10);
}

static float of_bf16(const char *from, long long i) {
  uint16_t bits;
  memcpy(&bits, from + 2 * i, 2);
  uint32_t wide = (uint32_t)bits << 16;
  float value;
  memcpy(&value, &wide, 4);
  return value;
}

static double of_double(const char *from, long long i) {
  double value;
  memcpy(&value, from + 8 * i, 8);
  return value;
}

static void close_norm(const float *a, const char *truth, long long count, const char *what,
                       int layer) {
  double apart = 0;
  double size = 0;
  for (long long i = 0; i < count; i++) {
    double b = of_double(truth, i);
    apart += (a[i] - b) * (a[i] - b);
    size += b * b;
  }
  expect(sqrt(apart) <= NORM_BOUND * sqrt(size) && size > 0, what, layer, 0);
}

static int is_prime(long long n) {
  for (long long d = 2; d * d <= n; d++) {
    if (n % d == 0) {
      return 0;
    }
  }
  return n > 1;
}

struct layer {
  long long primes[COLUMNS];
  long long offsets[COLUMNS];
  double inverses[COLUMNS];
  long long rows;
  struct engram_layout layout;
  struct engram_table table;
  struct engram_linear linear;
  struct engram_gate_weights gate;
  float product[WIDTH];
};

static void open_layer(struct layer *l, const char *directory, int index, long long *prime) {
  for (int column = 0; column < COLUMNS; column++) {
    while (!is_prime(*prime)) {
      ++*prime;
    }
    l->primes[column] = (*prime)++;
    l->offsets[column] = column ? l->offsets[column - 1] + l->primes[column - 1] : 0;
    l->inverses[column] = 1.0 / (double)l->primes[column];
  }
  int id = LAYERS[index].layer;
  struct file shard = read_file(directory, LAYERS[index].shard);
  char *weight = tensor(shard, id, "engram.embed.weight", &l->rows);
  char *scale = tensor(shard, id, "engram.embed.scale", NULL);
  l->layout = (struct engram_layout){
      sizeof l->layout,          ORDERS,    HEADS,      0,
      LAYERS[index].multipliers, l->primes, l->offsets, l->inverses,
  };
  l->table = (struct engram_table){
      .struct_size = sizeof l->table,
      .type = ENGRAM_F8_E4M3,
      .head_dim = HEAD_DIM,
      .factor = 1,
      .rows = l->rows,
      .weight = weight,
      .scale = scale,
      .weight_stride = HEAD_DIM,
      .scale_stride = HEAD_DIM / ENGRAM_BLOCK,
  };
  l->linear = (struct engram_linear){
      sizeof l->linear,
      ENGRAM_F8_E4M3,
      OUTPUTS,
      INPUTS,
      tensor(shard, id, "engram.wkv.weight", NULL),
      tensor(shard, id, "engram.wkv.scale", NULL),
      NULL,
      INPUTS,
      INPUTS / ENGRAM_BLOCK,
      0,
      0,
  };
  const char *q = tensor(shard, id, "engram.q_weight", NULL);
  const char *k = tensor(shard, id, "engram.k_weight", NULL);
  for (int i = 0; i < WIDTH; i++) {
    l->product[i] = of_bf16(q, i) * of_bf16(k, i);
  }
  l->gate = (struct engram_gate_weights){
      sizeof l->gate, BRANCHES, HIDDEN, 0, l->product, 1e-20f, 0,
  };
}

static void ok(int status, const char *what) {
  if (status != ENGRAM_OK) {
    fail(what, engram_status_text(status));
  }
}

/* Compressed ids, newest first, with padding where a dead token or the beginning is in the way. */
static void windows(struct file expected, long long tokens, int *out, signed char *mask) {
  const char *ids = tensor(expected, -1, "compressed_ids", NULL);
  const char *dead = tensor(expected, -1, "dead", NULL);
  for (long long token = 0; token < tokens; token++) {
    int blocked = 0;
    for (int shift = 0; shift < ORDERS; shift++) {
      int id = PAD;
      if (!blocked && token >= shift) {
        blocked = dead[token - shift];
        if (!blocked) {
          memcpy(&id, ids + 4 * (token - shift), 4);
        }
      }
      out[token * ORDERS + shift] = id;
    }
    mask[token] = !dead[token];
  }
}

static void run_layer(int tier, struct layer *l, int id, struct file expected, long long tokens,
                      const int *ids, const signed char *mask) {
  long long *row_ids = malloc(sizeof *row_ids * (size_t)(tokens * COLUMNS));
  uint16_t *narrow = malloc(2 * (size_t)(tokens * INPUTS));
  float *rows = malloc(4 * (size_t)(tokens * INPUTS));
  float *kv = malloc(4 * (size_t)(tokens * OUTPUTS));
  float *stream = malloc(4 * (size_t)(tokens * WIDTH));
  float *gates = malloc(4 * (size_t)(tokens * BRANCHES));
  if (!row_ids || !narrow || !rows || !kv || !stream || !gates) {
    fail("no memory", "");
  }
  ok(engram_hash(tier, &l->layout, ids, tokens, row_ids), "hash");
  const char *want_ids = tensor(expected, id, "hash_ids", NULL);
  for (long long i = 0; i < tokens * COLUMNS; i++) {
    long long want;
    memcpy(&want, want_ids + 8 * i, 8);
    if (mask[i / COLUMNS]) { /* a dead token's rows are not used */
      expect(row_ids[i] == want, "row id", id, i);
    }
    row_ids[i] = want;
  }
  long long count = tokens * COLUMNS;
  ok(engram_gather(tier, &l->table, row_ids, count, narrow, ENGRAM_BF16), "gather");
  ok(engram_gather(tier, &l->table, row_ids, count, rows, ENGRAM_F32), "gather");
  const char *want_rows = tensor(expected, id, "rows", NULL);
  for (long long i = 0; i < tokens * INPUTS; i++) {
    expect(memcmp(&narrow[i], want_rows + 2 * i, 2) == 0, "row", id, i);
  }
  l->linear.nan_free = engram_nan_free(tier, &l->linear);
  long long bytes = engram_project_scratch(tier, &l->linear, tokens);
  void *memory = malloc((size_t)bytes + 64);
  void *scratch = (char *)memory + (64 - (uintptr_t)memory % 64);
  ok(engram_project(tier, &l->linear, rows, tokens, 0, OUTPUTS, kv, OUTPUTS, scratch, bytes),
     "project");
  free(memory);
  close_norm(kv, tensor(expected, id, "kv", NULL), tokens * OUTPUTS, "key and value", id);
  const char *hidden = tensor(expected, id, "hidden", NULL);
  for (long long i = 0; i < tokens * WIDTH; i++) {
    stream[i] = of_bf16(hidden, i);
  }
  ok(engram_gate(tier, &l->gate, kv, stream, ENGRAM_F32, 4LL * WIDTH, 4LL * HIDDEN, mask, tokens,
                 gates, NULL),
     "gate");
  close_norm(stream, tensor(expected, id, "out", NULL), tokens * WIDTH, "stream", id);
  const char *want_gates = tensor(expected, id, "gate", NULL);
  for (long long i = 0; i < tokens * BRANCHES; i++) {
    if (mask[i / BRANCHES]) {
      expect(fabs(gates[i] - of_double(want_gates, i)) <= GATE_BOUND, "gate", id, i);
    }
  }
  free(row_ids);
  free(narrow);
  free(rows);
  free(kv);
  free(stream);
  free(gates);
}

int main(int argc, char **argv) {
  if (argc < 3) {
    fail("usage", "golden DIRECTORY WHERE [REPORT]");
  }
  static const char *const names[] = {"scalar",       "AVX2",     "AVX-512",  "NEON",
                                      "AVX-512 BF16", "AMX BF16", "NEON BF16"};
  static const char *const files[] = {"expected-plain.safetensors", "expected-image.safetensors"};
  static struct layer layers[2];
  long long prime = FIRST_PRIME;
  open_layer(&layers[0], argv[1], 0, &prime);
  open_layer(&layers[1], argv[1], 1, &prime);
  ask_for_tiles();
  FILE *report = argc > 3 ? fopen(argv[3], "a") : NULL;
  for (int tier = 0; tier < (int)(sizeof names / sizeof *names); tier++) {
    running = names[tier];
    if (engram_tier_problem(tier)) {
      printf("tier %s not executed: %s\n", names[tier], engram_tier_problem(tier));
      continue;
    }
    long long before = compared;
    for (int f = 0; f < 2; f++) {
      struct file expected = read_file(argv[1], files[f]);
      long long tokens;
      tensor(expected, -1, "input_ids", &tokens);
      int *ids = malloc(4 * (size_t)(tokens * ORDERS));
      signed char *mask = malloc((size_t)tokens);
      if (!ids || !mask) {
        fail("no memory", "");
      }
      windows(expected, tokens, ids, mask);
      for (int layer = 0; layer < 2; layer++) {
        run_layer(tier, &layers[layer], LAYERS[layer].layer, expected, tokens, ids, mask);
      }
      free(ids);
      free(mask);
      free(expected.bytes);
    }
    printf("tier %s %s, golden model: %lld comparisons\n", names[tier], argv[2], compared - before);
    if (report) {
      fprintf(report, "golden model at tier %s %s, comparisons: %lld\n", names[tier], argv[2],
              compared - before);
    }
  }
  if (report && fclose(report) != 0) {
    fail("cannot be written", argv[3]);
  }
  printf("%lld comparisons, %d failed\n", compared, failures);
  return failures == 0 && compared > 0 ? 0 : 1;
}
