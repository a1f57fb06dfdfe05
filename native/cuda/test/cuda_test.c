/*
 * The CUDA kernels against the scalar ones of the CPU, on random cases. Linked with the library
 * that a shim runs on the CPU, every buffer lies beside an unreadable page; on a card, see ci/gpu.
 * Arguments: cases of each stage, seed, the file to which the comparisons are added.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../test/harness.h"
#include "../include/engram_cuda.h"

static void ok(int status, const char *what) {
  if (status != ENGRAM_OK) {
    fprintf(stderr, "%s: %s, %s\n", what, engram_cuda_status_text(status), engram_cuda_detail());
    exit(2);
  }
}

static void hash_on_device(void) {
  int layers = 1 + (int)below(3);
  int orders = 2 + (int)below(4);
  int heads = 1 + (int)below(9);
  int columns = (orders - 1) * heads;
  long long tokens = below(40);
  long long *multipliers = guarded(sizeof(long long) * (size_t)(layers * orders));
  long long *primes = guarded(sizeof(long long) * (size_t)(layers * columns));
  long long *offsets = guarded(sizeof(long long) * (size_t)(layers * columns));
  double *inverses = guarded(sizeof(double) * (size_t)columns);
  int *windows = guarded(sizeof(int) * (size_t)(tokens * orders));
  long long *rows = guarded(sizeof(long long) * (size_t)(layers * tokens * columns));
  long long *truth = guarded(sizeof(long long) * (size_t)(tokens * columns));
  for (int i = 0; i < layers * orders; i++) {
    multipliers[i] = (long long)(next() >> 1) | 1;
  }
  for (int i = 0; i < layers * columns; i++) {
    primes[i] = 1 + below(1LL << (1 + below(32)));
    offsets[i] = below(1LL << 32);
  }
  for (long long i = 0; i < tokens * orders; i++) {
    windows[i] = (int)below(200000);
  }
  struct engram_cuda_layouts all = {sizeof all,  layers, orders, heads,
                                    multipliers, primes, offsets};
  ok(engram_cuda_hash(0, NULL, &all, windows, tokens, rows), "hash");
  ok(engram_cuda_synchronize(0, NULL), "hash");
  for (int layer = 0; layer < layers; layer++) {
    for (int i = 0; i < columns; i++) {
      inverses[i] = 1.0 / (double)primes[layer * columns + i];
    }
    struct engram_layout one = {sizeof one,
                                orders,
                                heads,
                                0,
                                multipliers + layer * orders,
                                primes + layer * columns,
                                offsets + layer * columns,
                                inverses};
    ok(engram_hash(ENGRAM_TIER_SCALAR, &one, windows, tokens, truth), "scalar hash");
    for (long long i = 0; i < tokens * columns; i++) {
      expect(rows[layer * tokens * columns + i] == truth[i], "cuda row id", i);
    }
  }
  release();
}

static void gather_on_device(void) {
  static const int sizes[] = {4, 2, 2, 1};
  int type = (int)below(4);
  int dim = 1 + (int)below(300);
  dim = below(2) ? (dim + 7) / 8 * 8 : dim; /* what lanes take at once, or not */
  long long rows = 1 + below(30);
  long long count = below(60);
  int out_type = below(2) ? ENGRAM_F32 : ENGRAM_BF16;
  int blocks = (dim + ENGRAM_BLOCK - 1) / ENGRAM_BLOCK;
  int packed = type == ENGRAM_F8_E4M3 && below(2);
  long long stride = (long long)dim * sizes[type] + (packed ? blocks : below(3));
  unsigned char *weight = guarded((size_t)(rows * stride));
  unsigned char *scale = packed ? weight + dim : guarded((size_t)(rows * blocks));
  for (long long i = 0; i < rows * stride; i++) {
    weight[i] = (unsigned char)next(); /* every code, NaN among them */
  }
  for (long long i = 0; !packed && i < rows * blocks; i++) {
    scale[i] = (unsigned char)next();
  }
  long long *ids = guarded(sizeof(long long) * (size_t)count);
  for (long long i = 0; i < count; i++) {
    ids[i] = below(rows + 1) - 1; /* -1 among them */
  }
  size_t bytes = (size_t)(count * dim * (out_type == ENGRAM_F32 ? 4 : 2));
  unsigned char *out = guarded(bytes);
  unsigned char *truth = guarded(bytes);
  long long *bad = guarded(sizeof(long long));
  *bad = -1;
  struct engram_table table = {sizeof table,
                               type,
                               dim,
                               0,
                               rows,
                               weight,
                               type == ENGRAM_F8_E4M3 ? scale : NULL,
                               stride,
                               packed ? stride : blocks};
  ok(engram_cuda_gather(0, NULL, &table, ids, count, out, out_type, bad), "gather");
  ok(engram_cuda_synchronize(0, NULL), "gather");
  ok(engram_gather(ENGRAM_TIER_SCALAR, &table, ids, count, truth, out_type), "scalar gather");
  expect(*bad == -1, "no id is outside", 0);
  for (long long i = 0; i < count * dim; i++) {
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
  if (count > 0) { /* an id beyond the table is told, and read as zeros */
    long long at = below(count);
    ids[at] = below(2) ? rows + below(2) * below(1LL << 40) : -2 - below(2) * below(1LL << 40);
    ok(engram_cuda_gather(0, NULL, &table, ids, count, out, out_type, bad), "gather");
    ok(engram_cuda_synchronize(0, NULL), "gather");
    expect(*bad == at, "the id outside", at);
    expect(out[(size_t)at * (size_t)dim * (out_type == ENGRAM_F32 ? 4 : 2)] == 0, "zeros", at);
  }
  release();
}

static void gate_on_device(void) {
  int branches = 1 + (int)below(4);
  int hidden = 1 + (int)below(700);
  long long tokens = below(4);
  int type = below(2) ? ENGRAM_F32 : ENGRAM_BF16;
  long long bytes = type == ENGRAM_F32 ? 4 : 2;
  long long branch_stride = hidden * bytes;
  long long token_stride = branches * branch_stride + 8 * below(3);
  long long width = (long long)branches * hidden;
  float *product = guarded((size_t)(4 * width));
  float *kv = guarded((size_t)(4 * tokens * (width + hidden)));
  signed char *mask = guarded((size_t)tokens);
  unsigned char *stream = guarded((size_t)(tokens * token_stride));
  unsigned char *twin = guarded((size_t)(tokens * token_stride));
  float *gates = guarded((size_t)(4 * tokens * branches));
  float *truth = guarded((size_t)(4 * tokens * branches));
  int apart = (int)below(2);
  float *gated = apart ? guarded((size_t)(4 * tokens * width)) : NULL;
  float *twin_gated = apart ? guarded((size_t)(4 * tokens * width)) : NULL;
  floats(product, width);
  floats(kv, tokens * (width + hidden));
  for (long long i = 0; i < tokens; i++) {
    mask[i] = below(4) != 0;
  }
  for (long long i = 0; i < tokens * token_stride / bytes; i++) {
    float value = gaussian();
    memcpy(stream + bytes * i, (char *)&value + (4 - bytes), (size_t)bytes); /* cut to bf16 */
  }
  memcpy(twin, stream, (size_t)(tokens * token_stride));
  struct engram_gate_weights weights = {sizeof weights, branches, hidden, (int)below(2),
                                        product,        1e-6f,    0};
  ok(engram_cuda_gate(0, NULL, &weights, kv, stream, type, token_stride, branch_stride, mask,
                      tokens, gates, gated),
     "gate");
  ok(engram_cuda_synchronize(0, NULL), "gate");
  ok(engram_gate(ENGRAM_TIER_SCALAR, &weights, kv, twin, type, token_stride, branch_stride, mask,
                 tokens, truth, twin_gated),
     "scalar gate");
  for (long long i = 0; i < tokens * branches; i++) {
    close_each(gates[i], truth[i], 1e-6, "cuda gate", i);
  }
  for (long long i = 0; apart && i < tokens * width; i++) {
    close_each(gated[i], twin_gated[i], 1e-5, "cuda gated value", i);
  }
  for (long long i = 0; i < tokens * token_stride / bytes; i++) {
    float a = 0;
    float b = 0;
    memcpy((char *)&a + (4 - bytes), stream + bytes * i, (size_t)bytes);
    memcpy((char *)&b + (4 - bytes), twin + bytes * i, (size_t)bytes);
    close_each(a, b, type == ENGRAM_F32 ? 1e-5 : 0.04, "cuda stream", i);
  }
  release();
}

static void refusals(void) {
  int count = 0;
  ok(engram_cuda_devices(&count), "devices");
  expect(count >= 1, "a device", 0);
  expect(engram_cuda_abi() == ENGRAM_CUDA_ABI, "ABI", 0);
  expect(engram_cuda_devices(NULL) == ENGRAM_ERROR_ARGUMENT, "null count", 0);
  int ids = 0;
  long long rows = 0;
  struct engram_cuda_layouts layouts = {sizeof layouts, 1, 2, 1, &rows, &rows, &rows};
  int status = engram_cuda_hash(99, NULL, &layouts, &ids, 1, &rows);
  expect(status == ENGRAM_CUDA_ERROR_CUDA, "a device that is not there", status);
  expect(strstr(engram_cuda_detail(), "device") != NULL, "the reason", 0);
  layouts.struct_size++;
  expect(engram_cuda_hash(0, NULL, &layouts, &ids, 1, &rows) == ENGRAM_ERROR_STRUCT, "size", 0);
  expect(engram_cuda_hash(0, NULL, NULL, &ids, 1, &rows) == ENGRAM_ERROR_ARGUMENT, "null", 0);
}

int main(int argc, char **argv) {
  long long cases = argc > 1 ? atoll(argv[1]) : 300;
  random_state = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
  refusals();
  for (long long i = 0; i < cases; i++) {
    hash_on_device();
    gather_on_device();
    gate_on_device();
  }
  FILE *report = argc > 3 ? fopen(argv[3], "a") : NULL;
  if (report) {
    fprintf(report, "CUDA kernels in the shim, comparisons: %lld\n", checked);
    if (fclose(report) != 0) {
      perror(argv[3]);
      return 2;
    }
  }
  printf("%lld comparisons passed, %d failed\n", checked - failures, failures);
  return failures == 0 && checked > 0 ? 0 : 1;
}
