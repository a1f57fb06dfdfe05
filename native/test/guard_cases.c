/*
 * Files that become shorter under their mapping: every call that reads one ends in a status, other
 * calls go on, and a fault outside of calls goes to who had the signal before.
 */
#define _GNU_SOURCE
#include "guard_cases.h"

#include "harness.h"

#if defined(__linux__)
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define ROWS 4096
#define WIDTH 256
#define SCALES 8
#define TABLE ((size_t)ROWS * (WIDTH + SCALES))

static sigjmp_buf outside;
static volatile int handed_on;

static void before(int signal, siginfo_t *information, void *context) {
  (void)signal;
  (void)information;
  (void)context;
  handed_on++;
  siglongjmp(outside, 1);
}

static int file;
static unsigned char *map;

static void fill(void) {
  unsigned char *bytes = malloc(TABLE);
  for (size_t i = 0; i < TABLE; i++) {
    bytes[i] = (unsigned char)(i % 119);
  }
  expect(bytes && pwrite(file, bytes, TABLE, 0) == (ssize_t)TABLE, "write", 0);
  free(bytes);
}

static void shorten(size_t bytes) {
  expect(ftruncate(file, (off_t)bytes) == 0, "truncate", (long long)bytes);
}

static void open_file(void) {
  char name[] = "/tmp/engram-guard-XXXXXX";
  file = mkstemp(name);
  expect(file >= 0 && unlink(name) == 0, "file", file);
  fill();
  map = mmap(NULL, TABLE, PROT_READ, MAP_SHARED, file, 0);
  expect(map != MAP_FAILED, "map", 0);
}

/* What was mapped as a table, and its bytes as weights. */
static void calls(int tier, int expected, long long first_row) {
  struct engram_table table = {.struct_size = sizeof table,
                               .type = ENGRAM_F8_E4M3,
                               .head_dim = WIDTH,
                               .factor = 1,
                               .rows = ROWS,
                               .weight = map,
                               .scale = map + WIDTH,
                               .weight_stride = WIDTH + SCALES,
                               .scale_stride = WIDTH + SCALES};
  long long ids[48];
  for (int i = 0; i < 48; i++) {
    ids[i] = i == 47 ? first_row : i % 12; /* the first page, then the one that may be gone */
  }
  static float rows[48 * WIDTH];
  expect(engram_gather(tier, &table, ids, 48, rows, ENGRAM_F32) == expected, "gather", tier);

  long long multipliers[2] = {1, 0};
  long long primes[1] = {1};
  long long offsets[1] = {first_row};
  double inverses[1] = {1};
  struct engram_layout layout = {sizeof layout, 2, 1, 0, multipliers, primes, offsets, inverses};
  const struct engram_layout *layouts[1] = {&layout};
  const struct engram_table *tables[1] = {&table};
  int window[2] = {0, 0};
  expect(engram_lookup(tier, 1, layouts, tables, window, 1, ids, rows, ENGRAM_F32) == expected,
         "lookup", tier);

  struct engram_linear linear = {
      sizeof linear, ENGRAM_F8_E4M3, 512, 512, map, NULL, NULL, 512, 16, 0, 0};
  static unsigned char scales[16 * 16];
  for (size_t i = 0; i < sizeof scales; i++) {
    scales[i] = 120;
  }
  linear.scale = scales;
  static float in[8 * 512];
  static float out[8 * 512];
  if (expected == ENGRAM_OK) {
    expect(engram_nan_free(tier, &linear) == 1, "NaN-free", tier);
  } else {
    expect(engram_nan_free(tier, &linear) == expected, "NaN-free", tier);
  }
  linear.nan_free = 1;
  for (int tokens = 1; tokens <= 8; tokens += 7) {
    long long bytes = engram_project_scratch(tier, &linear, tokens);
    void *scratch = bytes > 0 ? guarded_lines((size_t)bytes) : NULL;
    expect(engram_project(tier, &linear, in, tokens, 0, 512, out, 512, scratch, bytes) == expected,
           "project", tokens);
    release();
  }
}

static void touch(void) {
  handed_on = 0;
  if (sigsetjmp(outside, 1) == 0) {
    volatile unsigned char *gone = map + TABLE - 1;
    (void)*gone;
    expect(0, "a page that is gone was read", 0);
  }
  expect(handed_on == 1, "faults outside of calls", handed_on);
}

void guard_cases(int tier) {
  static int begun;
  if (!begun) {
    begun = 1;
    struct sigaction own = {.sa_sigaction = before, .sa_flags = SA_SIGINFO};
    sigaction(SIGBUS, &own, NULL);
    expect(engram_fault_handler() == (void *)before, "handler", 0);
    expect(engram_guard() == ENGRAM_OK && engram_guard() == ENGRAM_OK, "guard", 0);
    expect(engram_fault_handler() != (void *)before, "handler", 1);
    open_file();
  }
  for (int round = 0; round < 50; round++) {
    calls(tier, ENGRAM_OK, ROWS - 1);
    shorten(8192);
    calls(tier, ENGRAM_ERROR_MEMORY, ROWS - 1);
    touch();
    calls(tier, ENGRAM_ERROR_MEMORY, 100);
    fill();
  }
}
#else
void guard_cases(int tier) {
  expect(engram_fault_handler() == NULL && engram_guard() == ENGRAM_ERROR_TIER, "guard", tier);
}
#endif
