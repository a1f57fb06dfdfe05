#include "../kernels.h"

/* Output of one call that leaves the second cache is stored past it: read for writing it would take
   a fifth more time. */
#define STREAM_BYTES (4 << 20)

/* Where rows lie; returns 0 if an id is outside the table. Most tables lie in one place: what that
   takes per row stands in the loop, and nothing else. */
static int find_rows(const struct engram_table *table, const long long *row_ids, int64_t count,
                     struct engram_row *rows) {
  const struct engram_row none = {NULL, NULL, NULL};
  const uint8_t *weight = table->weight;
  const uint8_t *scale = table->scale;
  const int whole = !table->shards && !table->bias && scale;
  for (int64_t i = 0; i < count; i++) {
    int64_t row = engram_load64(row_ids + i);
    if (row < -1 || row >= table->rows) {
      return 0;
    }
    if (row < 0) {
      rows[i] = none;
    } else if (whole) {
      rows[i].weight = weight + row * table->weight_stride;
      rows[i].scale = scale + row * table->scale_stride;
    } else {
      rows[i] = engram_row_at(table, row);
    }
  }
  return 1;
}

/*
 * In bursts. Ids are read once, into memory that nobody else writes: what was checked is what is
 * used, even if another thread writes them, or they lie in the output.
 */
int engram_gather_rows(const struct engram_kernels *k, const struct engram_table *table,
                       const long long *row_ids, int64_t count, uint8_t *out, int out_type) {
  int64_t row_bytes = (int64_t)table->head_dim * engram_out_bytes(out_type);
  int stream = count > STREAM_BYTES / row_bytes;
  const struct engram_kernels *own = engram_with_gather(k);
  for (int64_t first = 0; first < count; first += ENGRAM_BURST) {
    int64_t burst = count - first < ENGRAM_BURST ? count - first : ENGRAM_BURST;
    struct engram_row rows[ENGRAM_BURST];
    if (!find_rows(table, row_ids + first, burst, rows)) {
      return ENGRAM_ERROR_ROW;
    }
    own->gather(table, rows, burst, out + first * row_bytes, out_type, stream);
  }
  return ENGRAM_OK;
}
