#include "rows.h"

#define LINE 64
#define AHEAD 8

/*
 * The misses of a whole token are issued together, by loads, before any row is decoded: decoding
 * fills the reorder buffer, so with one row at a time only one row's misses would be under way.
 * Rows that are asked for a little before save another twentieth; asking instead of loading, or
 * decoding in between, is slower (docs/performance.md).
 */
INLINE void ask(const uint8_t *from, int64_t bytes) {
  for (int64_t at = 0; at < bytes; at += LINE) {
    __builtin_prefetch(from + at);
  }
  __builtin_prefetch(from + bytes - 1);
}

INLINE void touch(const uint8_t *from, int64_t bytes, uint32_t *sink) {
  for (int64_t at = 0; at < bytes; at += LINE) {
    *sink ^= from[at];
  }
  *sink ^= from[bytes - 1];
}

enum part { WEIGHT, SCALE, BIAS };

INLINE const uint8_t *part_of(const struct engram_row *row, const enum part part) {
  return part == WEIGHT ? row->weight : part == SCALE ? row->scale : row->bias;
}

/* Some bytes of each row, some of which are none. */
INLINE void issue(const struct engram_row *rows, const enum part part, int64_t bytes,
                  int64_t count) {
  uint32_t sink = 0;
  for (int64_t i = 0; i < count; i++) {
    const struct engram_row *ahead = rows + (i + AHEAD < count ? i + AHEAD : count - 1);
    if (ahead->weight) {
      ask(part_of(ahead, part), bytes);
    }
    if (rows[i].weight) {
      touch(part_of(rows + i, part), bytes, &sink);
    }
  }
  __asm__ volatile("" : : "r"(sink)); /* the loads must not be dropped */
}

static void issue_misses(const struct engram_table *table, const struct engram_row *rows,
                         int64_t count) {
  int64_t bytes = engram_row_bytes(table->type, table->head_dim);
  int64_t scales = engram_row_scale_bytes(table->type, table->head_dim);
  int64_t biases = engram_row_bias_bytes(table->type, table->head_dim);
  const struct engram_row *any = rows;
  while (any < rows + count - 1 && !any->weight) {
    any++;
  }
  int packed = table->scale_stride == table->weight_stride && any->scale == any->weight + bytes &&
               (!biases || any->bias == any->scale + scales);
  int apart = scales && any->weight && !packed;
  if (!apart && bytes == 256 && scales == 8) { /* a packed row of V4.1 */
    issue(rows, WEIGHT, 264, count);
  } else if (!apart) {
    issue(rows, WEIGHT, bytes + scales + biases, count);
  } else {
    issue(rows, WEIGHT, bytes, count);
    issue(rows, SCALE, scales, count);
    if (biases) {
      issue(rows, BIAS, biases, count);
    }
  }
}

INLINE void typed_rows(const struct engram_table *table, const int type,
                       const struct engram_row *rows, int64_t count, uint8_t *out, int out_type,
                       const int how) {
  int head_dim = table->head_dim;
  int64_t row_bytes = (int64_t)head_dim * engram_out_bytes(out_type);
  for (int64_t i = 0; i < count; i++) {
    uint8_t *own = out + i * row_bytes;
    if (!rows[i].weight) {
      __builtin_memset(own, 0, (size_t)row_bytes);
    } else if (decode(type, rows + i, table->factor, head_dim, own, how)) {
      engram_scalar_row(table, rows + i, own, out_type);
    }
  }
}

/* The type is told once for all rows. */
INLINE void decode_rows(const struct engram_table *table, const struct engram_row *rows,
                        int64_t count, uint8_t *out, int out_type, const int how) {
  switch (table->type) {
#define TYPED_ROWS(name, ...)                                          \
  case ENGRAM_##name:                                                  \
    typed_rows(table, ENGRAM_##name, rows, count, out, out_type, how); \
    break;
    ENGRAM_ROW_TYPES(TYPED_ROWS)
    default:
      break;
  }
}

void TIER(gather)(const struct engram_table *table, const struct engram_row *rows, int64_t count,
                  uint8_t *out, int out_type, int stream) {
  if (table->head_dim % ENGRAM_BLOCK != 0) { /* no published model has such rows */
    engram_scalar_gather(table, rows, count, out, out_type, stream);
    return;
  }
  issue_misses(table, rows, count);
  if (out_type == ENGRAM_BF16) {
    decode_rows(table, rows, count, out, out_type, WORDS);
  } else if (stream && (uintptr_t)out % LINE == 0) { /* rows are multiples of a line then */
    decode_rows(table, rows, count, out, out_type, STREAMED);
    f_stream_end();
  } else {
    decode_rows(table, rows, count, out, out_type, FLOATS);
  }
}
