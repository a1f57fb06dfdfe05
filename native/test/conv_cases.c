#include "harness.h"

void conv_case(int tier) {
  int branches = 1 + (int)below(4);
  int hidden = size();
  int kernel = below(2) ? 4 : 1 + (int)below(5);
  int dilation = 1 + (int)below(4);
  long long tokens = below(6);
  long long channels = (long long)branches * hidden;
  long long reach = (long long)(kernel - 1) * dilation;
  size_t window_bytes = sizeof(float) * (size_t)((reach + tokens) * channels);
  size_t token_bytes = sizeof(float) * (size_t)(tokens * channels);
  float *taps = guarded(sizeof(float) * (size_t)(channels * kernel));
  float *norm = guarded(sizeof(float) * (size_t)channels);
  floats(taps, channels * kernel);
  floats(norm, channels);
  struct engram_conv_weights conv = {sizeof conv, branches, hidden, kernel,
                                     dilation,    1e-5f,    taps,   norm};
  float *gated = guarded(token_bytes);
  float *window = guarded(window_bytes);
  float *twin = guarded(window_bytes);
  floats(gated, tokens * channels);
  floats(window, (reach + tokens) * channels);
  __builtin_memcpy(twin, window, window_bytes);
  float *actual = guarded(token_bytes);
  float *expected = guarded(token_bytes);
  expect(engram_conv(tier, &conv, gated, window, tokens, actual) == ENGRAM_OK, "conv status",
         tokens);
  engram_conv(ENGRAM_TIER_SCALAR, &conv, gated, twin, tokens, expected);
  close_sum(actual, expected, gated, tokens * channels, "conv");
  close_norm(window, twin, (reach + tokens) * channels, "conv window");
}
