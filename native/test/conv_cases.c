#include "harness.h"

/* A stream as a list of floats, whatever its type and strides. */
static void widen(const struct stream *s, long long tokens, int branches, int hidden, float *to) {
  for (long long i = 0; i < tokens * branches * hidden; i++) {
    float value =
        stream_at(s, i / hidden / branches, (int)(i / hidden % branches), (int)(i % hidden));
    __builtin_memcpy(to + i, &value, sizeof value);
  }
}

void conv_case(int tier) {
  int branches = 1 + (int)below(4);
  int hidden = size();
  int kernel = below(2) ? 4 : 1 + (int)below(5);
  int dilation = 1 + (int)below(4);
  long long tokens = below(6);
  long long channels = (long long)branches * hidden;
  long long first = (long long)(kernel - 1) * dilation + below(3); /* rows before are another's */
  size_t window_bytes = sizeof(float) * (size_t)((first + tokens) * channels);
  size_t token_bytes = sizeof(float) * (size_t)(tokens * channels);
  float *taps = guarded(sizeof(float) * (size_t)(channels * kernel));
  float *norm = guarded(sizeof(float) * (size_t)channels);
  floats(taps, channels * kernel);
  floats(norm, channels);
  struct engram_conv_weights conv = {sizeof conv, branches, hidden, kernel,
                                     dilation,    1e-5f,    taps,   norm};
  float *gated = guarded(token_bytes);
  float *twin = guarded(token_bytes);
  float *before = guarded(token_bytes);
  float *window = guarded(window_bytes);
  float *twin_window = guarded(window_bytes);
  floats(gated, tokens * channels);
  floats(window, (first + tokens) * channels);
  __builtin_memcpy(twin, gated, token_bytes);
  __builtin_memcpy(before, gated, token_bytes);
  __builtin_memcpy(twin_window, window, window_bytes);
  signed char *mask = random_mask(tokens);
  struct stream stream = random_stream(tokens, branches, hidden);
  struct stream twin_stream = same_stream(&stream);
  struct stream old = same_stream(&stream);
  expect(engram_conv(tier, &conv, gated, window, first, mask, tokens, stream.data, stream.type,
                     stream.token_stride, stream.branch_stride) == ENGRAM_OK,
         "conv status", tokens);
  float *again = guarded(token_bytes);
  float *again_window = guarded(window_bytes);
  __builtin_memcpy(again, before, token_bytes);
  __builtin_memcpy(again_window, twin_window, window_bytes);
  struct stream again_stream = same_stream(&old);
  engram_conv(tier, &conv, again, again_window, first, mask, tokens, again_stream.data, stream.type,
              stream.token_stride, stream.branch_stride);
  expect(same_bits(again, gated, token_bytes) && same_bits(again_window, window, window_bytes) &&
             same_bits(again_stream.data, stream.data, stream.bytes),
         "conv under another setting", tokens);
  engram_conv(ENGRAM_TIER_SCALAR, &conv, twin, twin_window, first, mask, tokens, twin_stream.data,
              stream.type, stream.token_stride, stream.branch_stride);
  close_sum(gated, twin, before, tokens * channels, "conv");
  close_norm(window, twin_window, (first + tokens) * channels, "conv window");
  float *actual = guarded(token_bytes);
  float *expected = guarded(token_bytes);
  widen(&stream, tokens, branches, hidden, actual);
  widen(&twin_stream, tokens, branches, hidden, expected);
  for (long long i = 0; i < tokens * channels; i++) {
    float was = stream_at(&old, i / channels, (int)(i % channels / hidden), (int)(i % hidden));
    if (!mask[i / channels]) {
      expect(at(actual, i) == was && at(gated, i) == 0, "masked conv", i);
      continue;
    }
    /* a sum of what was and the delta, rounded once to the stream's type */
    double delta = at(twin, i) < 0 ? -(double)at(twin, i) : at(twin, i);
    double size = was < 0 ? -was : was;
    double rounding = stream.type == ENGRAM_F32 ? 2e-7 : 8e-3;
    close_each(at(actual, i), at(expected, i), rounding * (size + delta) + 4e-6 * (1 + delta),
               "conv stream", i);
  }
}
