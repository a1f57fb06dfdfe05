#include "../kernels.h"

int engram_scalar_nan_free(const uint8_t *codes, int64_t count) {
  int nan = 0;
  for (int64_t i = 0; i < count; i++) {
    nan |= (codes[i] & 0x7f) == 0x7f;
  }
  return !nan;
}

/* The order of the Java path, in double: tiles of 32 products summed, scaled, then added. */
void engram_scalar_project(const struct engram_linear *linear, const float *in, int64_t tokens,
                           int first, int count, float *out, int64_t out_stride) {
  int inputs = linear->inputs;
  int tiles = engram_tiles(inputs);
  const uint8_t *scales = linear->scale;
  for (int output = first; output < first + count; output++) {
    const uint8_t *row = (const uint8_t *)linear->weight + output * (int64_t)linear->weight_stride;
    for (int64_t token = 0; token < tokens; token++) {
      double sum = 0;
      for (int tile = 0; tile < tiles; tile++) {
        int end = (tile + 1) * ENGRAM_BLOCK < inputs ? (tile + 1) * ENGRAM_BLOCK : inputs;
        double partial = 0;
        for (int k = tile * ENGRAM_BLOCK; k < end; k++) {
          partial += (double)engram_row_code(linear->type, row, k) *
                     engram_load_float(in + token * inputs + k);
        }
        int64_t scale = output / ENGRAM_BLOCK * (int64_t)linear->scale_stride + tile;
        sum += scales ? engram_e8m0(scales[scale]) * partial : partial;
      }
      double bias = linear->bias ? linear->bias[output] : 0;
      engram_store_float(out + token * out_stride + (output - first), (float)(sum + bias));
    }
  }
}
