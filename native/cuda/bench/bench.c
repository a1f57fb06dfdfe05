/*
 * The stages on a card, each beside its physical limit, in turns; prints medians as JSON. On
 * V4.1's widths. Arguments: megabytes of the table, rounds, most tokens, hidden width.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "touch.h"

#define DIM 256
#define ROW (DIM + DIM / ENGRAM_BLOCK)
#define COLUMNS 24
#define BRANCHES 4
#define MOST 8 /* things in a race */

static struct engram_cuda_queue on = {sizeof on, 0, NULL, 0, 0};
static int rounds = 9;
static int hidden = 5120;

static void ok(int status, const char *what) {
  if (status != ENGRAM_OK) {
    fprintf(stderr, "%s: %s, %s\n", what, engram_cuda_status_text(status), engram_cuda_detail());
    exit(1);
  }
}

static void *on_device(long long bytes) {
  void *memory = NULL;
  ok(engram_cuda_allocate(0, bytes, &memory), "allocate");
  ok(engram_cuda_fill(&on, memory, 0x30, bytes), "fill");
  return memory;
}

static void *pinned(long long bytes) {
  void *memory = NULL;
  ok(engram_cuda_allocate_host(0, bytes, &memory), "allocate pinned");
  return memory;
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

struct racer {
  const char *name;
  void (*run)(void);
  double times[64]; /* microseconds */
};

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a;
  double y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Lets each run some times between two waits, in turns, and prints the medians. */
static void race(const char *title, long long bytes, int repeats, struct racer *racers, int count) {
  for (int round = -1; round < rounds; round++) { /* the first warms up */
    for (int i = 0; i < count; i++) {
      ok(engram_cuda_synchronize(0, on.stream), "synchronize");
      double start = now();
      for (int r = 0; r < repeats; r++) {
        racers[i].run();
      }
      ok(engram_cuda_synchronize(0, on.stream), racers[i].name);
      if (round >= 0) {
        racers[i].times[round] = (now() - start) / repeats;
      }
    }
  }
  printf("{\"race\": \"%s\", \"bytes\": %lld", title, bytes);
  for (int i = 0; i < count; i++) {
    qsort(racers[i].times, (size_t)rounds, sizeof(double), by_value);
    printf(", \"%s_us\": %.2f, \"%s_spread\": [%.2f, %.2f]", racers[i].name,
           racers[i].times[rounds / 2], racers[i].name, racers[i].times[0],
           racers[i].times[rounds - 1]);
  }
  for (int i = 1; i < count; i++) {
    printf(", \"%s_vs_%s\": %.3f", racers[0].name, racers[i].name,
           racers[i].times[rounds / 2] / racers[0].times[rounds / 2]);
  }
  printf("}\n");
  fflush(stdout);
}

static struct {
  struct engram_table host;
  struct engram_table device;
  struct engram_linear linear;
  struct engram_gate_weights gate;
  struct engram_cuda_layouts layouts;
  char *source;
  char *copied;
  long long *ids;
  long long *row_ids;
  int *windows;
  float *rows;
  float *kv;
  float *gates;
  signed char *mask;
  char *stream;
  char *weights;
  char *weights_to;
  unsigned long long *sink;
  long long id_count;
  long long used;
  long long tokens;
  int type;
} w;

static long long row_count(void) {
  return w.tokens * COLUMNS;
}
/* Each run reads rows that those before have not brought into a cache. */
static const long long *fresh_ids(void) {
  long long from = w.used + row_count() > w.id_count ? 0 : w.used;
  w.used = from + row_count();
  return w.ids + from;
}
static void gather_host(void) {
  ok(engram_cuda_gather(&on, &w.host, NULL, fresh_ids(), row_count(), w.rows, ENGRAM_BF16, NULL),
     "gather");
}
static void gather_device(void) {
  ok(engram_cuda_gather(&on, &w.device, NULL, fresh_ids(), row_count(), w.rows, ENGRAM_BF16, NULL),
     "gather");
}
static void touch_host(void) {
  ok(engram_cuda_touch(&on, &w.host, fresh_ids(), row_count(), w.sink), "touch");
}
static void touch_device(void) {
  ok(engram_cuda_touch(&on, &w.device, fresh_ids(), row_count(), w.sink), "touch");
}
static void copy_pinned(void) {
  ok(engram_cuda_copy(&on, w.copied, w.source, row_count() * ROW), "copy");
}
static void gate(void) {
  long long element = w.type == ENGRAM_F32 ? 4 : 2;
  ok(engram_cuda_gate(&on, &w.gate, w.kv, ENGRAM_F32, w.stream, w.type, BRANCHES * hidden * element,
                      hidden * element, w.mask, w.tokens, w.gates, NULL),
     "gate");
}
/* Reads key, value and stream and writes the stream: a copy of half those bytes moves as much. */
static long long gate_bytes(void) {
  long long element = w.type == ENGRAM_F32 ? 4 : 2;
  return w.tokens * hidden * ((BRANCHES + 1) * 4 + 2 * BRANCHES * element);
}
static void copy_gate(void) {
  ok(engram_cuda_copy(&on, w.weights_to, w.weights, gate_bytes() / 2), "copy");
}
static void project(void) {
  ok(engram_cuda_project(&on, &w.linear, w.rows, ENGRAM_F32, w.tokens, 0, w.linear.outputs, w.kv,
                         w.linear.outputs),
     "project");
}
static long long weight_bytes(void) {
  return (long long)w.linear.outputs * w.linear.inputs;
}
static void copy_weights(void) {
  ok(engram_cuda_copy(&on, w.weights_to, w.weights, weight_bytes() / 2), "copy");
}

/* A token of a model: its layers stand for reads of weights, the second meets an Engram layer,
   whose rows were asked for beside the first. */
static struct engram_cuda_queue side = {sizeof side, 0, NULL, 32, 0};
static void *ready;
static void *released;
static const struct engram_table *decoded;

static void decode(void) {
  ok(engram_cuda_event_wait(&side, released), "wait");
  ok(engram_cuda_hash(&side, &w.layouts, w.windows, w.tokens, w.row_ids), "hash");
  ok(engram_cuda_gather(&side, decoded, NULL, fresh_ids(), row_count(), w.rows, ENGRAM_F32, NULL),
     "gather");
  ok(engram_cuda_event_record(&side, ready), "record");
  copy_weights();
  ok(engram_cuda_event_wait(&on, ready), "wait");
  project();
  gate();
  ok(engram_cuda_event_record(&on, released), "record");
  copy_weights();
}
static void decode_host(void) {
  decoded = &w.host;
  decode();
}
static void decode_device(void) {
  decoded = &w.device;
  decode();
}

static unsigned long long random_state = 1;
static unsigned long long next(void) {
  random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
  return random_state >> 16;
}

static long long *device_longs(const long long *from, int count) {
  long long *host = pinned(8LL * count);
  memcpy(host, from, 8 * (size_t)count);
  long long *to = on_device(8LL * count);
  ok(engram_cuda_copy(&on, to, host, 8LL * count), "copy");
  ok(engram_cuda_synchronize(0, on.stream), "synchronize");
  return to;
}

static struct engram_table table_at(void *rows, long long count) {
  struct engram_table made = {.struct_size = sizeof made,
                              .type = ENGRAM_F8_E4M3,
                              .head_dim = DIM,
                              .factor = 1,
                              .rows = count,
                              .weight = rows,
                              .scale = (char *)rows + DIM,
                              .weight_stride = ROW,
                              .scale_stride = ROW};
  return made;
}

static void set_up(long long megabytes, long long most_tokens) {
  long long rows = megabytes * 1000000 / ROW;
  char *host = malloc((size_t)(rows * ROW));
  void *seen = NULL;
  if (!host) {
    perror("table");
    exit(1);
  }
  memset(host, 0x30, (size_t)(rows * ROW));
  ok(engram_cuda_register(0, host, rows * ROW, 1, &seen), "register");
  w.host = table_at(seen, rows);
  w.device = table_at(on_device(rows * ROW), rows);
  long long most = most_tokens * COLUMNS;
  w.id_count = 40 * most;
  long long *ids = malloc(8 * (size_t)w.id_count);
  for (long long i = 0; i < w.id_count; i++) {
    ids[i] = (long long)(next() % (unsigned long long)rows);
  }
  w.ids = device_longs(ids, (int)w.id_count);
  w.row_ids = on_device(8 * most);
  w.windows = on_device(12 * most_tokens);
  long long numbers[COLUMNS];
  for (int i = 0; i < COLUMNS; i++) {
    numbers[i] = rows / COLUMNS - i;
  }
  w.layouts = (struct engram_cuda_layouts){sizeof w.layouts,
                                           1,
                                           3,
                                           COLUMNS / 2,
                                           device_longs(ids, 3),
                                           device_longs(numbers, COLUMNS),
                                           device_longs(numbers, COLUMNS)};
  w.source = pinned(most * ROW);
  w.copied = on_device(most * ROW);
  w.rows = on_device(4 * most * DIM);
  w.kv = on_device(4 * most_tokens * (BRANCHES + 1) * hidden);
  w.gates = on_device(4 * most_tokens * BRANCHES);
  w.mask = on_device(most_tokens);
  w.stream = on_device(4 * most_tokens * BRANCHES * hidden);
  w.sink = on_device(8);
  long long weights = (long long)(BRANCHES + 1) * hidden * COLUMNS * DIM;
  long long copied = 4 * most_tokens * hidden * (2 * BRANCHES + 3);
  w.weights = on_device(weights > copied ? weights : copied);
  w.weights_to = on_device(weights > copied ? weights : copied);
  w.linear = (struct engram_linear){sizeof w.linear,
                                    ENGRAM_F8_E4M3,
                                    (BRANCHES + 1) * hidden,
                                    COLUMNS * DIM,
                                    w.weights,
                                    on_device(weights / 1024),
                                    NULL,
                                    COLUMNS * DIM,
                                    COLUMNS * DIM / ENGRAM_BLOCK,
                                    0,
                                    0};
  w.gate = (struct engram_gate_weights){
      sizeof w.gate, BRANCHES, hidden, 0, on_device(4LL * BRANCHES * hidden), 1e-6f, 0};
  ok(engram_cuda_event_create(0, &ready), "event");
  ok(engram_cuda_event_create(0, &released), "event");
  ok(engram_cuda_stream_create(0, &side.stream), "stream");
  free(ids);
}

int main(int argc, char **argv) {
  long long megabytes = argc > 1 ? atoll(argv[1]) : 8500;
  rounds = argc > 2 ? atoi(argv[2]) : 9;
  long long most = argc > 3 ? atoll(argv[3]) : 4096;
  hidden = argc > 4 ? atoi(argv[4]) : hidden;
  if (hidden < 1 || megabytes < 1 || rounds < 1 || rounds > 64 || most < 1 || most > 65536) {
    fprintf(stderr, "usage: %s [MEGABYTES [ROUNDS [TOKENS [WIDTH]]]]\n", argv[0]);
    return 2;
  }
  struct engram_cuda_device about = {.struct_size = sizeof about};
  ok(engram_cuda_describe(0, &about), "describe");
  printf("{\"device\": \"%s\", \"capability\": \"%d.%d\", \"driver\": %d, \"table_mb\": %lld}\n",
         about.name, about.major, about.minor, about.driver, megabytes);
  ok(engram_cuda_stream_create(0, &on.stream), "stream");
  set_up(megabytes, most);
  for (w.tokens = 1; w.tokens <= most; w.tokens *= 8) {
    struct racer host[] = {{.name = "gather", .run = gather_host},
                           {.name = "touch", .run = touch_host},
                           {.name = "pinned_copy", .run = copy_pinned}};
    struct racer device[] = {{.name = "gather", .run = gather_device},
                             {.name = "touch", .run = touch_device}};
    char title[80];
    snprintf(title, sizeof title, "gather from the host, %lld tokens", w.tokens);
    race(title, row_count() * ROW, 10, host, 3);
    snprintf(title, sizeof title, "gather from the device, %lld tokens", w.tokens);
    race(title, row_count() * ROW, 10, device, 2);
  }
  w.tokens = most < 512 ? most : 512;
  for (w.type = ENGRAM_F32; w.type <= ENGRAM_BF16; w.type++) {
    struct racer racers[] = {{.name = "gate", .run = gate}, {.name = "copy", .run = copy_gate}};
    race(w.type == ENGRAM_F32 ? "gate of f32" : "gate of bf16", gate_bytes(), 10, racers, 2);
  }
  w.type = ENGRAM_BF16;
  for (w.tokens = 1; w.tokens <= 8 && w.tokens <= most; w.tokens *= 8) {
    struct racer racers[] = {{.name = "project", .run = project},
                             {.name = "copy", .run = copy_weights}};
    race(w.tokens == 1 ? "project of 1 token" : "project of 8 tokens", weight_bytes(), 10, racers,
         2);
  }
  w.tokens = 1;
  struct racer loops[] = {{.name = "host_table", .run = decode_host},
                          {.name = "device_table", .run = decode_device}};
  race("decode loop", row_count() * ROW, 100, loops, 2);
  return 0;
}
