/*
 * The CUDA kernels against the scalar ones of the CPU, on random cases. Linked with the library
 * that a shim runs on the CPU, every buffer lies beside an unreadable page; on a card, see ci/gpu.
 * Arguments: cases of each stage, seed, the file to which the comparisons are added.
 */
#include "cases.h"

/* Takes the lower halves off, so that both sides see the same, and returns the upper ones. */
static void *cut_to_bf16(float *values, long long count) {
  unsigned char *narrow = guarded(2 * (size_t)count);
  for (long long i = 0; i < count; i++) {
    unsigned bits;
    memcpy(&bits, (char *)values + 4 * i, 4);
    bits &= 0xffff0000u;
    memcpy((char *)values + 4 * i, &bits, 4);
    memcpy(narrow + 2 * i, (char *)&bits + 2, 2);
  }
  return narrow;
}

static void hash_on_device(void) {
  int layers = 1 + (int)below(3);
  int orders = 2 + (int)below(4);
  int heads = 1 + (int)below(9);
  int columns = (orders - 1) * heads;
  long long tokens = below(40);
  long long *multipliers = guarded(sizeof(long long) * (size_t)(layers * orders));
  long long *primes = guarded(sizeof(long long) * (size_t)(layers * columns));
  long long *offsets = guarded(sizeof(long long) * (size_t)(layers * columns));
  double *inverses = guarded(sizeof(double) * (size_t)columns);
  int *windows = guarded(sizeof(int) * (size_t)(tokens * orders));
  long long *rows = guarded(sizeof(long long) * (size_t)(layers * tokens * columns));
  long long *truth = guarded(sizeof(long long) * (size_t)(tokens * columns));
  for (int i = 0; i < layers * orders; i++) {
    multipliers[i] = (long long)(next() >> 1) | 1;
  }
  for (int i = 0; i < layers * columns; i++) {
    primes[i] = 1 + below(1LL << (1 + below(32)));
    offsets[i] = below(1LL << 32);
  }
  for (long long i = 0; i < tokens * orders; i++) {
    windows[i] = (int)below(200000);
  }
  struct engram_cuda_layouts all = {sizeof all,  layers, orders, heads,
                                    multipliers, primes, offsets};
  struct engram_cuda_queue on = some_queue();
  ok(engram_cuda_hash(&on, &all, windows, tokens, rows), "hash");
  finish("hash");
  for (int layer = 0; layer < layers; layer++) {
    for (int i = 0; i < columns; i++) {
      inverses[i] = 1.0 / (double)primes[layer * columns + i];
    }
    struct engram_layout one = {sizeof one,
                                orders,
                                heads,
                                0,
                                multipliers + layer * orders,
                                primes + layer * columns,
                                offsets + layer * columns,
                                inverses};
    ok(engram_hash(ENGRAM_TIER_SCALAR, &one, windows, tokens, truth), "scalar hash");
    for (long long i = 0; i < tokens * columns; i++) {
      expect(rows[layer * tokens * columns + i] == truth[i], "cuda row id", i);
    }
  }
  release();
}

static void project_on_device(void) {
  int wild = below(4) == 0;
  struct engram_linear linear = random_linear(size() * (1 + (int)below(3)), size(), wild);
  long long tokens = below(20);
  long long elements = tokens * linear.inputs;
  float *in = guarded(sizeof(float) * (size_t)elements);
  wild ? wild_floats(in, elements) : floats(in, elements);
  int in_type = below(2) ? ENGRAM_F32 : ENGRAM_BF16;
  void *given = in_type == ENGRAM_F32 ? in : cut_to_bf16(in, elements);
  long long stride = linear.outputs;
  size_t bytes = sizeof(float) * (size_t)(tokens * stride);
  float *out = guarded(bytes);
  float *truth = guarded(bytes);
  struct engram_cuda_queue on = some_queue();
  int first = (int)below(linear.outputs); /* in two parts, in whatever order */
  ok(engram_cuda_project(&on, &linear, given, in_type, tokens, first, linear.outputs - first,
                         out + first, stride),
     "project");
  ok(engram_cuda_project(&on, &linear, given, in_type, tokens, 0, first, out, stride), "project");
  finish("project");
  ok(engram_project(ENGRAM_TIER_SCALAR, &linear, in, tokens, 0, linear.outputs, truth, stride, NULL,
                    0),
     "scalar project");
  close_projection(&linear, in, tokens, out, truth);
  release();
}

static void conv_on_device(void) {
  int branches = 1 + (int)below(4);
  int hidden = size();
  int kernel = 1 + (int)below(5);
  int dilation = 1 + (int)below(4);
  long long tokens = below(5);
  long long channels = (long long)branches * hidden;
  long long first = (long long)(kernel - 1) * dilation + below(3);
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
  memcpy(twin, gated, token_bytes);
  memcpy(before, gated, token_bytes);
  memcpy(twin_window, window, window_bytes);
  signed char *mask = random_mask(tokens);
  struct stream stream = random_stream(tokens, branches, hidden);
  struct stream twin_stream = same_stream(&stream);
  struct engram_cuda_queue on = some_queue();
  ok(engram_cuda_conv(&on, &conv, gated, window, first, mask, tokens, stream.data, stream.type,
                      stream.token_stride, stream.branch_stride),
     "conv");
  finish("conv");
  ok(engram_conv(ENGRAM_TIER_SCALAR, &conv, twin, twin_window, first, mask, tokens,
                 twin_stream.data, stream.type, stream.token_stride, stream.branch_stride),
     "scalar conv");
  close_sum(gated, twin, before, tokens * channels, "cuda conv");
  close_norm(window, twin_window, (first + tokens) * channels, "cuda conv window");
  for (long long i = 0; i < tokens * channels; i++) {
    int branch = (int)(i / hidden % branches);
    float actual = stream_at(&stream, i / channels, branch, (int)(i % hidden));
    float expected = stream_at(&twin_stream, i / channels, branch, (int)(i % hidden));
    double size = expected < 0 ? -(double)expected : expected;
    close_each(actual, expected, (stream.type == ENGRAM_F32 ? 1e-5 : 1e-2) * (1 + size),
               "cuda conv stream", i);
  }
  release();
}

/*
 * Gates for which sums in float would not do: products that cancel each other, but for a little,
 * and squares beyond float.
 */
static void hard_gate(float *product, float *kv, unsigned char *stream, int type, int hidden) {
  float large = below(3) == 0 ? 1e25f : 1;
  int bytes = type == ENGRAM_F32 ? 4 : 2;
  int half = hidden / 2;
  for (int i = 0; i < half; i++) {
    float value = gaussian() * large;
    memcpy(stream + bytes * i, (char *)&value + (4 - bytes), (size_t)bytes);
    memcpy(stream + bytes * (half + i), stream + bytes * i, (size_t)bytes);
    product[half + i] = product[i];
    kv[half + i] = -kv[i];
  }
  kv[below(hidden)] *= 1.02f; /* which is not lost in bf16 */
}

static void gate_on_device(void) {
  int branches = 1 + (int)below(4);
  int hidden = 1 + (int)below(700);
  long long tokens = below(4);
  int type = below(2) ? ENGRAM_F32 : ENGRAM_BF16;
  long long bytes = type == ENGRAM_F32 ? 4 : 2;
  long long branch_stride = hidden * bytes;
  long long token_stride = branches * branch_stride + 8 * below(3);
  long long width = (long long)branches * hidden;
  float *product = guarded((size_t)(4 * width));
  float *kv = guarded((size_t)(4 * tokens * (width + hidden)));
  signed char *mask = guarded((size_t)tokens);
  unsigned char *stream = guarded((size_t)(tokens * token_stride));
  unsigned char *twin = guarded((size_t)(tokens * token_stride));
  float *gates = guarded((size_t)(4 * tokens * branches));
  float *truth = guarded((size_t)(4 * tokens * branches));
  int apart = (int)below(2);
  float *gated = apart ? guarded((size_t)(4 * tokens * width)) : NULL;
  float *twin_gated = apart ? guarded((size_t)(4 * tokens * width)) : NULL;
  floats(product, width);
  floats(kv, tokens * (width + hidden));
  for (long long i = 0; i < tokens; i++) {
    mask[i] = below(4) != 0;
  }
  for (long long i = 0; i < tokens * token_stride / bytes; i++) {
    float value = gaussian();
    memcpy(stream + bytes * i, (char *)&value + (4 - bytes), (size_t)bytes); /* cut to bf16 */
  }
  if (tokens > 0 && below(3) == 0) { /* of the first token's first branch */
    hard_gate(product, kv, stream, type, hidden);
  }
  memcpy(twin, stream, (size_t)(tokens * token_stride));
  struct engram_gate_weights weights = {sizeof weights, branches, hidden, (int)below(2),
                                        product,        1e-6f,    0};
  int kv_type = below(2) ? ENGRAM_F32 : ENGRAM_BF16;
  void *given = kv_type == ENGRAM_F32 ? kv : cut_to_bf16(kv, tokens * (width + hidden));
  struct engram_cuda_queue on = some_queue();
  ok(engram_cuda_gate(&on, &weights, given, kv_type, stream, type, token_stride, branch_stride,
                      mask, tokens, gates, gated),
     "gate");
  finish("gate");
  ok(engram_gate(ENGRAM_TIER_SCALAR, &weights, kv, twin, type, token_stride, branch_stride, mask,
                 tokens, truth, twin_gated),
     "scalar gate");
  for (long long i = 0; i < tokens * branches; i++) {
    close_each(gates[i], truth[i], 1e-6, "cuda gate", i);
  }
  for (long long i = 0; apart && i < tokens * width; i++) {
    close_each(gated[i], twin_gated[i], 1e-5, "cuda gated value", i);
  }
  for (long long i = 0; i < tokens * token_stride / bytes; i++) {
    float a = 0;
    float b = 0;
    memcpy((char *)&a + (4 - bytes), stream + bytes * i, (size_t)bytes);
    memcpy((char *)&b + (4 - bytes), twin + bytes * i, (size_t)bytes);
    close_each(a, b, type == ENGRAM_F32 ? 1e-5 : 0.04, "cuda stream", i);
  }
  release();
}

static void refusals(void) {
  int count = 0;
  ok(engram_cuda_devices(&count), "devices");
  expect(count >= 1, "a device", 0);
  expect(engram_cuda_abi() == ENGRAM_CUDA_ABI, "ABI", 0);
  expect(engram_cuda_devices(NULL) == ENGRAM_ERROR_ARGUMENT, "null count", 0);
  int ids = 0;
  long long rows = 0;
  struct engram_cuda_layouts layouts = {sizeof layouts, 1, 2, 1, &rows, &rows, &rows};
  struct engram_cuda_queue on = {sizeof on, 99, NULL, 0, 0};
  int status = engram_cuda_hash(&on, &layouts, &ids, 1, &rows);
  expect(status == ENGRAM_CUDA_ERROR_CUDA, "a device that is not there", status);
  expect(strstr(engram_cuda_detail(), "device") != NULL, "the reason", 0);
  on.device = 0;
  layouts.struct_size++;
  expect(engram_cuda_hash(&on, &layouts, &ids, 1, &rows) == ENGRAM_ERROR_STRUCT, "size", 0);
  expect(engram_cuda_hash(&on, NULL, &ids, 1, &rows) == ENGRAM_ERROR_ARGUMENT, "null", 0);
}

int main(int argc, char **argv) {
  long long cases = argc > 1 ? atoll(argv[1]) : 300;
  random_state = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
  refusals();
  for (long long i = 0; i < cases; i++) {
    hash_on_device();
    rows_on_device();
    cache_on_device();
    project_on_device();
    gate_on_device();
    conv_on_device();
  }
  FILE *report = argc > 3 ? fopen(argv[3], "a") : NULL;
  if (report) {
    fprintf(report, "CUDA kernels in the shim, comparisons: %lld\n", checked);
    if (fclose(report) != 0) {
      perror(argv[3]);
      return 2;
    }
  }
  printf("%lld comparisons passed, %d failed\n", checked - failures, failures);
  return failures == 0 && checked > 0 ? 0 : 1;
}
