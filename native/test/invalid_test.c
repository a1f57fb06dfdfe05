/*
 * Calls with structs and arguments of which at least one is invalid, and the rest anything, wild
 * pointers among it: each must be refused, having followed none of them. With sanitizers.
 *
 *   invalid_test CALLS SEED      seed 0 takes one of the clock
 */
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../include/engram.h"

#define TIERS 6
#define TYPES 24
#define MOST_FAILURES 10

static uint64_t state;

static uint64_t next(void) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

static int below(int bound) {
  return (int)(next() % (uint64_t)bound);
}

static int any_int(void) {
  static const int some[] = {INT_MIN, -1, 0, 1, 2, 3, 4, 31, 32, 33, 64, 65, INT_MAX - 1, INT_MAX};
  return below(4) == 0 ? (int)next() : some[below((int)(sizeof some / sizeof *some))];
}

static long long any_long(void) {
  static const long long some[] = {LLONG_MIN, -1, 0, 1, 2, 7, 8, 264, 1LL << 33, LLONG_MAX};
  return below(4) == 0 ? (long long)next() : some[below((int)(sizeof some / sizeof *some))];
}

/* Nothing, or an address that nobody may touch. */
static void *wild(void) {
  return below(4) == 0 ? NULL : (void *)(uintptr_t)(64 + (next() & 0xffc0));
}

/* A pointer that is not null, and may not be touched either. */
static void *some(void) {
  return (void *)(uintptr_t)(64 + (next() & 0xffc0));
}

static int negative(void) {
  return -1 - below(INT_MAX);
}

static int below_one(void) {
  return -below(INT_MAX);
}

static void fill(void *bytes, size_t count) {
  for (size_t i = 0; i < count; i++) {
    ((unsigned char *)bytes)[i] = (unsigned char)next();
  }
}

static struct engram_layout layout(int mistake) {
  struct engram_layout made;
  fill(&made, sizeof made);
  made.struct_size = sizeof made;
  made.max_ngram = below(2) ? 2 + below(63) : any_int();
  made.heads = any_int();
  made.multipliers = wild();
  made.primes = wild();
  made.offsets = wild();
  made.inverses = wild();
  switch (mistake) {
    case 0:
      made.struct_size += 1 + below(1000);
      break;
    case 1:
      made.max_ngram = below(2) ? 1 - below(INT_MAX) : 65 + below(INT_MAX - 65);
      break;
    case 2:
      made.heads = below_one();
      break;
    case 3:
      made.multipliers = NULL;
      break;
    case 4:
      made.primes = NULL;
      break;
    case 5:
      made.offsets = NULL;
      break;
    default:
      made.inverses = NULL;
  }
  return made;
}

static struct engram_table table(int mistake) {
  struct engram_table made;
  fill(&made, sizeof made);
  made.struct_size = sizeof made;
  made.type = below(3) ? below(TYPES) : any_int();
  made.head_dim = any_int();
  made.rows = any_long();
  made.weight = wild();
  made.scale = wild();
  made.bias = wild();
  made.weight_stride = any_long();
  made.scale_stride = any_long();
  made.bias_stride = any_long();
  made.shards = 0; /* else shards are read: that they are there is the caller's promise */
  made.shard = wild();
  switch (mistake) {
    case 0:
      made.struct_size -= 1 + below(100);
      break;
    case 1:
      made.type = below(2) ? negative() : TYPES + below(1000);
      break;
    case 2:
      made.head_dim = below_one();
      break;
    case 3:
      made.rows = -(long long)(next() >> 1);
      break;
    case 4:
      made.weight = NULL;
      break;
    case 5:
      made.type = below(4); /* a byte an element at least */
      made.head_dim = 1 + below(1000000);
      made.weight_stride = below(made.head_dim);
      break;
    case 6:
      made.type = ENGRAM_F8_E4M3;
      made.scale = NULL;
      break;
    case 7:
      made.type = ENGRAM_F8_E4M3;
      made.head_dim = 33 + below(1000000);
      made.scale_stride = below(made.head_dim / 32);
      break;
    case 8:
      made.shards = negative();
      break;
    case 9:
      made.shards = 1 + below(1000);
      made.shard = NULL;
      break;
    case 10:
      made.type = ENGRAM_AFFINE4_64;
      made.bias = NULL;
      break;
    default:
      made.type = ENGRAM_AFFINE4_32;
      made.head_dim = 33 + below(1000000);
      made.bias_stride = below(made.head_dim / 32);
  }
  return made;
}

static struct engram_linear linear(int mistake) {
  struct engram_linear made;
  fill(&made, sizeof made);
  made.struct_size = sizeof made;
  made.type = below(3) ? below(TYPES) : any_int();
  made.outputs = any_int();
  made.inputs = any_int();
  made.weight = wild();
  made.scale = wild();
  made.bias = wild();
  made.weight_stride = any_long();
  made.scale_stride = any_long();
  switch (mistake) {
    case 0:
      made.struct_size ^= 1 << below(31);
      break;
    case 1:
      made.type = below(2) ? ENGRAM_F8_E4M3_TENSOR : TYPES + below(1000);
      break;
    case 2:
      made.outputs = below_one();
      break;
    case 3:
      made.inputs = below_one();
      break;
    case 4:
      made.weight = NULL;
      break;
    case 5:
      made.inputs = 1 + below(1000000);
      made.weight_stride = below(made.inputs);
      break;
    case 6:
      made.type = ENGRAM_F8_E4M3;
      made.scale = NULL;
      break;
    case 7:
      made.type = below(2);
      made.scale = some();
      break;
    default:
      made.type = ENGRAM_F8_E4M3;
      made.inputs = 33 + below(1000000);
      made.scale_stride = below(made.inputs / 32);
  }
  return made;
}

static long long hash_call(int tier, int mistake) {
  struct engram_layout made = layout(mistake);
  switch (mistake) {
    case 7:
      return engram_hash(tier, NULL, wild(), any_long(), wild());
    case 8:
      return engram_hash(tier, &made, NULL, any_long(), wild());
    case 9:
      return engram_hash(tier, &made, wild(), any_long(), NULL);
    case 10:
      return engram_hash(tier, &made, wild(), negative(), wild());
    default:
      return engram_hash(tier, &made, wild(), any_long(), wild());
  }
}

static long long gather_call(int tier, int mistake) {
  struct engram_table made = table(mistake);
  int out_type = below(2);
  switch (mistake) {
    case 12:
      return engram_gather(tier, NULL, wild(), any_long(), wild(), out_type);
    case 13:
      return engram_gather(tier, &made, NULL, any_long(), wild(), out_type);
    case 14:
      return engram_gather(tier, &made, wild(), any_long(), NULL, out_type);
    case 15:
      return engram_gather(tier, &made, wild(), negative(), wild(), out_type);
    case 16:
      return engram_gather(tier, &made, wild(), any_long(), wild(), 2 + below(1000));
    default:
      return engram_gather(tier, &made, wild(), any_long(), wild(), out_type);
  }
}

/* Two layers, of which one has a mistake. */
static long long lookup_call(int tier, int mistake) {
  struct engram_layout l[2] = {layout(mistake % 7), layout(below(7))};
  struct engram_table t[2] = {table(mistake % 12), table(below(12))};
  const struct engram_layout *layouts[2] = {&l[below(2)], below(4) ? &l[0] : NULL};
  const struct engram_table *tables[2] = {&t[below(2)], below(4) ? &t[0] : NULL};
  int layers = 1 + below(2);
  int type = below(2);
  switch (mistake) {
    case 8:
      return engram_lookup(tier, below_one(), layouts, tables, wild(), 1, wild(), wild(), type);
    case 9:
      return engram_lookup(tier, layers, NULL, tables, wild(), 1, wild(), wild(), type);
    case 10:
      return engram_lookup(tier, layers, layouts, NULL, wild(), 1, wild(), wild(), type);
    case 11:
      return engram_lookup(tier, layers, layouts, tables, NULL, 1, wild(), wild(), type);
    case 12:
      return engram_lookup(tier, layers, layouts, tables, wild(), negative(), wild(), wild(), 0);
    case 13:
      return engram_lookup(tier, layers, layouts, tables, wild(), 1, NULL, wild(), type);
    case 14:
      return engram_lookup(tier, layers, layouts, tables, wild(), 1, wild(), NULL, type);
    default:
      return engram_lookup(tier, layers, layouts, tables, some(), 1, some(), some(), type);
  }
}

static long long project_call(int tier, int mistake) {
  struct engram_linear made = linear(mistake);
  long long tokens = any_long();
  int first = any_int();
  int count = any_int();
  long long stride = any_long();
  void *scratch = wild();
  const struct engram_linear *given = &made;
  const void *in = wild();
  void *out = wild();
  switch (mistake) {
    case 9:
      given = NULL;
      break;
    case 10:
      in = NULL;
      break;
    case 11:
      out = NULL;
      break;
    case 12:
      tokens = negative();
      break;
    case 13:
      scratch = (char *)some() + 1 + below(63);
      break;
    case 14:
      first = negative();
      break;
    case 15:
      count = negative();
      break;
    case 16:
      made.outputs = 1 + below(1000);
      first = below(1000);
      count = made.outputs - first + 1 + below(1000);
      break;
    case 17:
      count = 1 + below(1000);
      stride = below(count);
      break;
    default:
      break;
  }
  return engram_project(tier, given, in, tokens, first, count, out, stride, scratch, any_long());
}

static long long scratch_call(int tier, int mistake) {
  struct engram_linear made = linear(mistake);
  return mistake == 9    ? engram_project_scratch(tier, NULL, any_long())
         : mistake == 10 ? engram_project_scratch(tier, &made, negative())
                         : engram_project_scratch(tier, &made, any_long());
}

static long long nan_call(int tier, int mistake) {
  struct engram_linear made = linear(mistake);
  return engram_nan_free(tier, mistake == 9 ? NULL : &made);
}

static long long gate_call(int tier, int mistake) {
  struct engram_gate_weights made;
  fill(&made, sizeof made);
  made.struct_size = sizeof made;
  made.branches = any_int();
  made.hidden = any_int();
  made.product = wild();
  const struct engram_gate_weights *given = &made;
  const void *kv = wild();
  void *stream = wild();
  const void *mask = wild();
  void *gates = wild();
  int type = below(3) ? below(2) : any_int();
  long long tokens = any_long();
  long long strides[2] = {any_long(), any_long()};
  switch (mistake) {
    case 0:
      made.struct_size += 1 + below(99);
      break;
    case 1:
      made.branches = below_one();
      break;
    case 2:
      made.hidden = below_one();
      break;
    case 3:
      made.product = NULL;
      break;
    case 4:
      given = NULL;
      break;
    case 5:
      kv = NULL;
      break;
    case 6:
      stream = NULL;
      break;
    case 7:
      mask = NULL;
      break;
    case 8:
      gates = NULL;
      break;
    case 9:
      type = 2 + below(1000);
      break;
    case 10:
      tokens = negative();
      break;
    case 11:
      strides[0] = negative();
      break;
    default:
      strides[1] = negative();
  }
  return engram_gate(tier, given, kv, stream, type, strides[0], strides[1], mask, tokens, gates,
                     wild());
}

static long long conv_call(int tier, int mistake) {
  struct engram_conv_weights made;
  fill(&made, sizeof made);
  made.struct_size = sizeof made;
  made.branches = any_int();
  made.hidden = any_int();
  made.kernel = any_int();
  made.dilation = any_int();
  made.taps = wild();
  made.norm = wild();
  const struct engram_conv_weights *given = &made;
  void *gated = wild();
  void *window = wild();
  const void *mask = wild();
  void *stream = wild();
  int type = below(3) ? below(2) : any_int();
  long long first = any_long();
  long long tokens = any_long();
  long long strides[2] = {any_long(), any_long()};
  switch (mistake) {
    case 0:
      made.struct_size -= 1 + below(99);
      break;
    case 1:
      made.branches = below_one();
      break;
    case 2:
      made.hidden = below_one();
      break;
    case 3:
      made.kernel = below_one();
      break;
    case 4:
      made.dilation = below_one();
      break;
    case 5:
      made.taps = NULL;
      break;
    case 6:
      made.norm = NULL;
      break;
    case 7:
      given = NULL;
      break;
    case 8:
      gated = NULL;
      break;
    case 9:
      window = NULL;
      break;
    case 10:
      mask = NULL;
      break;
    case 11:
      stream = NULL;
      break;
    case 12:
      type = 2 + below(1000);
      break;
    case 13:
      tokens = negative();
      break;
    case 14:
      strides[below(2)] = negative();
      break;
    default:
      made.kernel = 2 + below(INT_MAX - 2);
      made.dilation = 1 + below(INT_MAX - 1);
      first = (long long)(next() % (uint64_t)((made.kernel - 1LL) * made.dilation));
  }
  return engram_conv(tier, given, gated, window, first, mask, tokens, stream, type, strides[0],
                     strides[1]);
}

static const struct {
  const char *name;
  long long (*call)(int tier, int mistake);
  int mistakes;
} FUNCTIONS[] = {{"hash", hash_call, 11},       {"gather", gather_call, 17},
                 {"lookup", lookup_call, 15},   {"project", project_call, 18},
                 {"scratch", scratch_call, 11}, {"nan_free", nan_call, 10},
                 {"gate", gate_call, 13},       {"conv", conv_call, 16}};

int main(int count, char **arguments) {
  long calls = count > 1 ? atol(arguments[1]) : 1000000;
  uint64_t seed = count > 2 ? strtoull(arguments[2], NULL, 10) : 0;
  state = seed ? seed : (uint64_t)time(NULL) * 0x9e3779b97f4a7c15ULL | 1;
  seed = state;
  int failures = 0;
  for (long i = 0; i < calls && failures < MOST_FAILURES; i++) {
    int function = below((int)(sizeof FUNCTIONS / sizeof *FUNCTIONS));
    int mistake = below(FUNCTIONS[function].mistakes);
    int tier = below(50) ? below(TIERS) : any_int();
    long long status = FUNCTIONS[function].call(tier, mistake);
    if (status >= 0) {
      failures++;
      printf("%s, tier %d, mistake %d, call %ld: not refused\n", FUNCTIONS[function].name, tier,
             mistake, i);
    }
  }
  printf("%ld invalid calls, seed %llu, %d not refused\n", calls, (unsigned long long)seed,
         failures);
  return failures > 0;
}
