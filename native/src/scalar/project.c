#include "../kernels.h"

static float weight(const struct engram_linear *linear, int64_t at) {
  const uint8_t *data = linear->weight;
  switch (linear->type) {
    case ENGRAM_F8_E4M3:
      return engram_e4m3(data[at]);
    case ENGRAM_BF16:
      return engram_bits_to_float((uint32_t)engram_load16(data + 2 * at) << 16);
    default:
      return engram_load_float(data + 4 * at);
  }
}

/* The order of the Java path, in double: tiles of 32 products summed, scaled, then added. */
void engram_scalar_project(const struct engram_linear *linear, const float *in, int64_t tokens,
                           int first, int count, float *out, int64_t out_stride) {
  int inputs = linear->inputs;
  int tiles = engram_blocks(inputs);
  const uint8_t *scales = linear->scale;
  for (int output = first; output < first + count; output++) {
    for (int64_t token = 0; token < tokens; token++) {
      double sum = 0;
      for (int tile = 0; tile < tiles; tile++) {
        int end = (tile + 1) * ENGRAM_BLOCK < inputs ? (tile + 1) * ENGRAM_BLOCK : inputs;
        double partial = 0;
        for (int k = tile * ENGRAM_BLOCK; k < end; k++) {
          partial += (double)weight(linear, (int64_t)output * inputs + k) *
                     engram_load_float(in + token * inputs + k);
        }
        int64_t scale = (int64_t)(output / ENGRAM_BLOCK) * tiles + tile;
        sum += scales ? engram_e8m0(scales[scale]) * partial : partial;
      }
      double bias = linear->bias ? linear->bias[output] : 0;
      engram_store_float(out + token * out_stride + (output - first), (float)(sum + bias));
    }
  }
}
