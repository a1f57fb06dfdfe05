/*
 * A graph of all stages, captured from the interface: nothing runs while it is captured, a launch
 * gives the bits that the calls gave, and so does another on other tokens in the same memory.
 * Compiled by nvcc for a card, or with the shim by a C++ compiler.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__CUDACC__)
#include <cuda_runtime.h>
#else
#include "../shim/graph.h"
#endif

#include "../include/engram_cuda.h"

enum {
  TOKENS = 5,
  ORDERS = 3,
  HEADS = 2,
  COLUMNS = (ORDERS - 1) * HEADS,
  DIM = 64,
  BLOCKS = DIM / ENGRAM_BLOCK,
  ROWS = 400,
  HIDDEN = 96,
  BRANCHES = 2,
  WIDTH = BRANCHES * HIDDEN,
  OUTPUTS = WIDTH + HIDDEN,
  TAPS = 3,
};

static void expect(bool condition, const char *what) {
  if (!condition) {
    fprintf(stderr, "FAILED: %s (%s)\n", what, engram_cuda_detail());
    exit(1);
  }
}

static void ok(int status, const char *what) {
  expect(status == ENGRAM_OK, what);
}

static void cuda_ok(cudaError_t error, const char *what) {
  if (error != cudaSuccess) {
    fprintf(stderr, "FAILED: %s: %s\n", what, cudaGetErrorString(error));
    exit(1);
  }
}

static unsigned long long state = 1;
static unsigned below(unsigned bound) {
  state = state * 6364136223846793005ULL + 1442695040888963407ULL;
  return (unsigned)(state >> 33) % bound;
}

/* Pinned memory: both sides read it, so that weights and results need no copies. */
template <typename T>
static T *pinned(long long count) {
  void *memory = NULL;
  ok(engram_cuda_allocate_host(0, count * (long long)sizeof(T), &memory), "allocate pinned");
  memset(memory, 0, (size_t)count * sizeof(T));
  return (T *)memory;
}

static float *floats(long long count) {
  float *made = pinned<float>(count);
  for (long long i = 0; i < count; i++) {
    made[i] = ((float)below(2000) - 1000) / 700;
  }
  return made;
}

static unsigned char *codes(long long count) {
  unsigned char *made = pinned<unsigned char>(count);
  for (long long i = 0; i < count; i++) {
    made[i] = (unsigned char)(below(2) * 128 + 40 + below(30));
  }
  return made;
}

static unsigned char *scales(long long count) {
  unsigned char *made = pinned<unsigned char>(count);
  for (long long i = 0; i < count; i++) {
    made[i] = (unsigned char)(125 + below(4));
  }
  return made;
}

/* All that a step reads and writes. */
static struct {
  struct engram_cuda_layouts layouts;
  struct engram_table table;
  struct engram_linear linear;
  struct engram_gate_weights gate;
  struct engram_conv_weights conv;
  int *windows;
  long long *row_ids;
  float *rows;
  float *kv;
  float *stream;
  float *gates;
  float *gated;
  float *window;
  signed char *mask;
} w;

static void set_up(void) {
  long long *multipliers = pinned<long long>(ORDERS);
  long long *primes = pinned<long long>(COLUMNS);
  long long *offsets = pinned<long long>(COLUMNS);
  for (int i = 0; i < ORDERS; i++) {
    multipliers[i] = 2 * (long long)below(1u << 30) + 1;
  }
  for (int i = 0; i < COLUMNS; i++) {
    primes[i] = 91 + 2 * i;
    offsets[i] = i * (ROWS / COLUMNS);
  }
  w.layouts = {sizeof w.layouts, 1, ORDERS, HEADS, multipliers, primes, offsets};
  w.table.struct_size = sizeof w.table;
  w.table.type = ENGRAM_F8_E4M3;
  w.table.head_dim = DIM;
  w.table.factor = 1;
  w.table.rows = ROWS;
  w.table.weight = codes(ROWS * DIM);
  w.table.scale = scales(ROWS * BLOCKS);
  w.table.weight_stride = DIM;
  w.table.scale_stride = BLOCKS;
  long long inputs = COLUMNS * DIM;
  w.linear = {sizeof w.linear,
              ENGRAM_F8_E4M3,
              OUTPUTS,
              (int)inputs,
              codes(OUTPUTS * inputs),
              scales(OUTPUTS * inputs / ENGRAM_BLOCK),
              NULL,
              inputs,
              inputs / ENGRAM_BLOCK,
              0,
              0};
  w.gate = {sizeof w.gate, BRANCHES, HIDDEN, 1, floats(WIDTH), 1e-6f, 0};
  w.conv = {sizeof w.conv, BRANCHES, HIDDEN, TAPS, 1, 1e-5f, floats(WIDTH * TAPS), floats(WIDTH)};
  w.windows = pinned<int>(TOKENS * ORDERS);
  w.row_ids = pinned<long long>(TOKENS * COLUMNS);
  w.rows = pinned<float>(TOKENS * inputs);
  w.kv = pinned<float>(TOKENS * OUTPUTS);
  w.stream = pinned<float>(TOKENS * WIDTH);
  w.gates = pinned<float>(TOKENS * BRANCHES);
  w.gated = pinned<float>(TOKENS * WIDTH);
  w.window = pinned<float>((TOKENS + TAPS - 1) * WIDTH);
  w.mask = pinned<signed char>(TOKENS);
}

/* Tokens and a stream, the same for the same seed; and nothing of what comes out of them. */
static void give(unsigned seed) {
  state = seed;
  for (int i = 0; i < TOKENS * ORDERS; i++) {
    w.windows[i] = (int)below(100000);
  }
  for (int i = 0; i < TOKENS; i++) {
    w.mask[i] = i != 2;
  }
  for (int i = 0; i < TOKENS * WIDTH; i++) {
    w.stream[i] = ((float)below(2000) - 1000) / 500;
  }
  memset(w.window, 0, sizeof(float) * (TOKENS + TAPS - 1) * WIDTH);
  memset(w.gated, 0, sizeof(float) * TOKENS * WIDTH);
}

static void stages(const struct engram_cuda_queue *on) {
  ok(engram_cuda_hash(on, &w.layouts, w.windows, TOKENS, w.row_ids), "hash");
  ok(engram_cuda_gather(on, &w.table, NULL, w.row_ids, TOKENS * COLUMNS, w.rows, ENGRAM_F32, NULL),
     "gather");
  ok(engram_cuda_project(on, &w.linear, w.rows, ENGRAM_F32, TOKENS, 0, OUTPUTS, w.kv, OUTPUTS),
     "project");
  ok(engram_cuda_gate(on, &w.gate, w.kv, ENGRAM_F32, w.stream, ENGRAM_F32, 4 * WIDTH, 4 * HIDDEN,
                      w.mask, TOKENS, w.gates, w.gated),
     "gate apart");
  ok(engram_cuda_conv(on, &w.conv, w.gated, w.window, TAPS - 1, w.mask, TOKENS, w.stream,
                      ENGRAM_F32, 4 * WIDTH, 4 * HIDDEN),
     "conv");
  ok(engram_cuda_gate(on, &w.gate, w.kv, ENGRAM_F32, w.stream, ENGRAM_F32, 4 * WIDTH, 4 * HIDDEN,
                      w.mask, TOKENS, w.gates, NULL),
     "gate");
}

struct results {
  float stream[TOKENS * WIDTH];
  float delta[TOKENS * WIDTH]; /* what the convolution added */
};

static struct results results(void) {
  struct results made;
  memcpy(made.stream, w.stream, sizeof made.stream);
  memcpy(made.delta, w.gated, sizeof made.delta);
  return made;
}

static bool equal(const struct results &a, const struct results &b) {
  return memcmp(&a, &b, sizeof a) == 0;
}

static void whoever_waits_ends_the_capture(struct engram_cuda_queue on) {
  cudaGraph_t none = NULL;
  cuda_ok(cudaStreamBeginCapture((cudaStream_t)on.stream, cudaStreamCaptureModeGlobal), "capture");
  expect(engram_cuda_synchronize(0, on.stream) == ENGRAM_CUDA_ERROR_CUDA, "waiting is told");
  expect(cudaStreamEndCapture((cudaStream_t)on.stream, &none) != cudaSuccess, "and ends it");
  cudaGetLastError();
}

int main(void) {
  set_up();
  struct engram_cuda_queue on = {sizeof on, 0, NULL, 0, 0};
  ok(engram_cuda_stream_create(0, &on.stream), "stream");
  struct results expected[2];
  for (unsigned seed = 0; seed < 2; seed++) {
    give(seed + 10);
    stages(&on);
    ok(engram_cuda_synchronize(0, on.stream), "stages");
    expected[seed] = results();
  }
  expect(!equal(expected[0], expected[1]), "other tokens give other results");

  give(10);
  struct results before = results();
  cudaGraph_t graph = NULL;
  cudaGraphExec_t exec = NULL;
  void *memory = NULL;
  cuda_ok(cudaStreamBeginCapture((cudaStream_t)on.stream, cudaStreamCaptureModeGlobal), "capture");
  stages(&on);
  ok(engram_cuda_allocate(0, 1000, &memory), "allocate beside a capture");
  ok(engram_cuda_free(0, memory), "free beside a capture");
  cuda_ok(cudaStreamEndCapture((cudaStream_t)on.stream, &graph), "end of the capture");
  ok(engram_cuda_synchronize(0, on.stream), "synchronize");
  expect(equal(before, results()), "nothing runs while it is captured");
  cuda_ok(cudaGraphInstantiate(&exec, graph, 0), "instantiate");
  for (unsigned launch = 0; launch < 4; launch++) {
    give(launch % 2 + 10);
    cuda_ok(cudaGraphLaunch(exec, (cudaStream_t)on.stream), "launch");
    ok(engram_cuda_synchronize(0, on.stream), "synchronize");
    expect(equal(expected[launch % 2], results()), "a launch gives what the calls gave");
  }
  cuda_ok(cudaGraphExecDestroy(exec), "destroy");
  cuda_ok(cudaGraphDestroy(graph), "destroy");
  whoever_waits_ends_the_capture(on);
  printf("a graph of all stages, launched 4 times: the same bits as by calls\n");
  return 0;
}
