/*
 * Runs one stage of one token so many times, and nothing else that grows with them: what an
 * emulator counts of two runs differs by that alone. Arguments: hash, gather, project or gate; a
 * tier's number; times. Shapes are V4.1's, but for fewer outputs of the projection.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../include/engram.h"

#define HEADS 8
#define COLUMNS 24
#define HEAD_DIM 256
#define INPUTS (COLUMNS * HEAD_DIM)
#define OUTPUTS 32
#define BRANCHES 4
#define HIDDEN 5120
#define ROWS 512

static long long primes[COLUMNS], offsets[COLUMNS], multipliers[4] = {3, 5, 7, 9}, ids[COLUMNS];
static double inverses[COLUMNS];
static unsigned char rows[ROWS * (HEAD_DIM + 8)], weights[OUTPUTS * INPUTS];
static unsigned char scales[OUTPUTS / 32 * (INPUTS / 32)];
static float in[INPUTS], out[OUTPUTS], product[BRANCHES * HIDDEN], kv[(BRANCHES + 1) * HIDDEN];
static float gates[BRANCHES];
static unsigned short stream[BRANCHES * HIDDEN], narrow[INPUTS];

int main(int argc, char **argv) {
  if (argc < 4) {
    fprintf(stderr, "usage: stage hash|gather|project|gate TIER TIMES\n");
    return 2;
  }
  int tier = atoi(argv[2]);
  int times = atoi(argv[3]);
  for (int i = 0; i < COLUMNS; i++) {
    primes[i] = 20001 + 2 * i;
    inverses[i] = 1.0 / (double)primes[i];
    offsets[i] = 20001 * i;
    ids[i] = 21 * i;
  }
  memset(rows, 0x39, sizeof rows); /* loops here would be most of what is counted */
  memset(weights, 0x39, sizeof weights);
  memset(scales, 120, sizeof scales);
  for (int i = 0; i < INPUTS; i++) {
    in[i] = (float)(i % 17 + 1) / 8; /* bf16 numbers, as rows have */
  }
  for (int i = 0; i < BRANCHES * HIDDEN; i++) {
    product[i] = 1;
    stream[i] = 0x3f80;
  }
  for (int i = 0; i < (BRANCHES + 1) * HIDDEN; i++) {
    kv[i] = 0.5f;
  }
  const signed char live = 1;
  int windows[4] = {1, 2, 3, 4};
  struct engram_layout layout = {sizeof layout, 4,      HEADS,   0,
                                 multipliers,   primes, offsets, inverses};
  struct engram_table table = {0};
  table.struct_size = sizeof table;
  table.type = ENGRAM_F8_E4M3;
  table.head_dim = HEAD_DIM;
  table.factor = 1;
  table.rows = ROWS;
  table.weight = rows;
  table.scale = rows + HEAD_DIM;
  table.weight_stride = HEAD_DIM + 8;
  table.scale_stride = HEAD_DIM + 8;
  struct engram_linear linear = {0};
  linear.struct_size = sizeof linear;
  linear.type = ENGRAM_F8_E4M3;
  linear.outputs = OUTPUTS;
  linear.inputs = INPUTS;
  linear.weight = weights;
  linear.scale = scales;
  linear.weight_stride = INPUTS;
  linear.scale_stride = INPUTS / 32;
  linear.nan_free = engram_nan_free(tier, &linear);
  struct engram_gate_weights gate = {sizeof gate, BRANCHES, HIDDEN, 0, product, 1e-6f, 0};
  int status = 0;
  for (int i = 0; i < times && status == 0; i++) {
    switch (argv[1][0] == 'g' ? argv[1][2] : argv[1][0]) {
      case 'h':
        status = engram_hash(tier, &layout, windows, 1, ids);
        break;
      case 't': /* gather, gate: told apart by their fourth letter */
        status = argv[1][3] == 'h'
                     ? engram_gather(tier, &table, ids, COLUMNS, narrow, ENGRAM_BF16)
                     : engram_gate(tier, &gate, kv, stream, ENGRAM_BF16, 2 * BRANCHES * HIDDEN,
                                   2 * HIDDEN, &live, 1, gates, NULL);
        break;
      default:
        status = engram_project(tier, &linear, in, 1, 0, OUTPUTS, out, OUTPUTS, NULL, 0);
    }
  }
  if (status != 0) {
    fprintf(stderr, "%s at tier %d: %s\n", argv[1], tier, engram_status_text(status));
  }
  return status != 0;
}
