/*
 * Engram: the CPU kernels of DeepSeek's conditional memory, one function per stage.
 *
 * Every function is pure over a range of tokens: it keeps nothing, allocates nothing, starts no
 * thread, reads no environment. It may be called from any number of threads at once on different
 * outputs; splitting a range over threads is the caller's business.
 *
 * Memory is little-endian and row-major, at any alignment. Outputs must not overlap inputs. Sizes
 * are the caller's promise: a kernel reads and writes exactly the ranges that are stated here. Row
 * ids are checked against the table before a row is read.
 *
 * Results do not depend on the thread's floating-point setting (rounding, subnormal numbers
 * flushed to zero, exceptions unmasked): kernels set the ordinary one and give back what they
 * found.
 *
 * Types: 64-bit integers are spelled `long long`, so that bindings made on one platform hold on
 * all.
 */
#ifndef ENGRAM_H
#define ENGRAM_H

#ifdef __cplusplus
extern "C" {
#endif

#if defined(_WIN32)
#define ENGRAM_API __declspec(dllexport)
#elif defined(__GNUC__)
#define ENGRAM_API __attribute__((visibility("default")))
#else
#define ENGRAM_API
#endif

/* Compared exactly when the library is loaded; counts up with every change of this header. */
#define ENGRAM_ABI 10

/* Status codes; 0 is success. */
#define ENGRAM_OK 0
#define ENGRAM_ERROR_ARGUMENT                                                                   \
  -1                           /* a null pointer, a negative count, a size or type out of range \
                                */
#define ENGRAM_ERROR_STRUCT -2 /* struct_size is not that of this library */
#define ENGRAM_ERROR_ROW -3    /* a row id is neither -1 nor in the table */
#define ENGRAM_ERROR_TIER -4   /* this CPU, or this build, does not have the tier */
#define ENGRAM_ERROR_MEMORY -5 /* a page of a mapped file cannot be had; see engram_guard */

/* Instruction-set tiers. */
#define ENGRAM_TIER_SCALAR 0
#define ENGRAM_TIER_AVX2 1        /* AVX2, FMA, F16C */
#define ENGRAM_TIER_AVX512 2      /* and AVX-512 F, BW, DQ, VL */
#define ENGRAM_TIER_NEON 3        /* AArch64 */
#define ENGRAM_TIER_AVX512_BF16 4 /* AVX512 with BF16 and VBMI: another projection */
/* And AMX-BF16: another projection of batches. A process asks its system for tiles before; on Linux
   by arch_prctl(ARCH_REQ_XCOMP_PERM, 18), before it asks whether there is this tier. */
#define ENGRAM_TIER_AMX_BF16 5
#define ENGRAM_TIER_NEON_BF16 6 /* NEON with BF16: another projection */

/* Element types. */
#define ENGRAM_F32 0
#define ENGRAM_BF16 1
#define ENGRAM_F16 2
#define ENGRAM_F8_E4M3 3        /* with e8m0 scales */
#define ENGRAM_F8_E4M3_TENSOR 4 /* with one scale for the whole table */
#define ENGRAM_F4_E2M1 5        /* with e4m3 scales of 16, and one for the whole table */
#define ENGRAM_AFFINE4_64 6     /* 4 bits, a bf16 scale and bias per 64 */
#define ENGRAM_AFFINE4_32 7     /* the same per 32 */
/* Blocks as ggml has them, under its names. */
#define ENGRAM_Q8_0 8
#define ENGRAM_Q4_0 9
#define ENGRAM_Q4_1 10
#define ENGRAM_Q5_0 11
#define ENGRAM_Q5_1 12
#define ENGRAM_IQ4_NL 13
#define ENGRAM_MXFP4 14
#define ENGRAM_NVFP4 15
#define ENGRAM_Q1_0 16
#define ENGRAM_Q2_0 17
#define ENGRAM_Q2_K 18
#define ENGRAM_Q3_K 19
#define ENGRAM_Q4_K 20
#define ENGRAM_Q5_K 21
#define ENGRAM_Q6_K 22
#define ENGRAM_IQ4_XS 23

/* Where a type's scales lie. */
#define ENGRAM_SCALES_NONE 0
#define ENGRAM_SCALES_IN_ROW 1 /* within the blocks */
#define ENGRAM_SCALES_BESIDE 2 /* in a buffer of their own, or behind each row */
#define ENGRAM_SCALES_TENSOR 3 /* one number for the whole table */

/* Edge of a weight tile that shares a scale. */
#define ENGRAM_BLOCK 32

/* What is known of an element type. */
struct engram_row_type {
  int struct_size; /* sizeof(struct engram_row_type), as in every struct here */
  int block_elements;
  int block_bytes; /* without a scale that lies beside */
  int scales;      /* ENGRAM_SCALES_ */
  int scale_bytes; /* of a block's scale beside, else 0 */
  int exact_in_bf16;
  int weight;     /* 1 if projections may have it */
  int bias_bytes; /* of a block's bias beside, else 0 */
  const char *name; /* a static text */
};

/* How ids become row ids, for one layer. Columns are ordered by n-gram order, then head. */
struct engram_layout {
  int struct_size;
  int max_ngram; /* 2 to 64 */
  int heads;     /* per order, at least 1 */
  int reserved;
  const long long *multipliers; /* [max_ngram] */
  const long long *primes;      /* [(max_ngram - 1) * heads], at least 1 */
  const long long *offsets;     /* as primes: first row of the column */
  const double *inverses;       /* as primes: 1.0 / prime */
};

/* Where the rows of a table from one on lie; all shards have the table's strides. */
struct engram_shard {
  long long first; /* the row that lies first */
  const void *weight;
  const void *scale;
  const void *bias;
};

/* An embedding table. */
struct engram_table {
  int struct_size;
  int type;     /* an element type */
  int head_dim; /* elements of a row, at least 1 */
  float factor; /* of F8_E4M3_TENSOR, F4_E2M1 and AFFINE4: the scale of the whole table, else 1 */
  long long rows;
  const void *weight; /* [rows], each weight_stride bytes after the one before */
  const void *scale;  /* [rows, blocks], likewise, of types with scales beside, else null */
  const void *bias;   /* [rows, blocks], likewise, of types with biases beside, else null */
  long long weight_stride;
  long long scale_stride; /* interleaved rows have one stride for all */
  long long bias_stride;
  long long shards; /* 0, or how many places the rows lie in; weight, scale, bias are then unused */
  const struct engram_shard *shard; /* [shards + 1]: first ascending from 0; the last ends at rows */
};

/* The weight of a linear map, or of some of its inputs. */
struct engram_linear {
  int struct_size;
  int type; /* an element type that weights may have */
  int outputs;
  int inputs;
  const void *weight; /* [outputs, inputs], rows weight_stride bytes apart */
  const void
      *scale; /* F8_E4M3: e8m0 [ceil(outputs / 32), ceil(inputs / 32)], likewise, else null */
  const float *bias; /* [outputs], or null */
  long long weight_stride;
  long long scale_stride;
  int nan_free; /* 1 if engram_nan_free has said so of these weights, which is twice as fast */
  int reserved;
};

/* The weights of a gate. */
struct engram_gate_weights {
  int struct_size;
  int branches;
  int hidden;
  int zero_is_half; /* 1: a dot product of 0 gives gate 0.5; 0: the root keeps the zero's sign */
  const float *product; /* [branches, hidden]: product of the two norm weights */
  float eps;
  int reserved;
};

/* The weights of a short convolution. */
struct engram_conv_weights {
  int struct_size;
  int branches;
  int hidden;
  int kernel;
  int dilation;
  float eps;
  const float *taps; /* [branches * hidden, kernel]; the last meets the current token */
  const float *norm; /* [branches, hidden] */
};

/* Returns ENGRAM_ABI as this library was built. */
ENGRAM_API int engram_abi(void);

/* Returns a static text for a status code. */
ENGRAM_API const char *engram_status_text(int status);

/* Returns compiler and version, a static text for bug reports. */
ENGRAM_API const char *engram_build_info(void);

/* Returns null if this build, CPU and operating system can run a tier, else a static text why not.
 */
ENGRAM_API const char *engram_tier_problem(int tier);

/*
 * From now on, for good, a page of a mapped file that cannot be had (the file became shorter, its
 * disk failed) ends a call with ENGRAM_ERROR_MEMORY and outputs of which any part is written; until
 * then it is SIGBUS, and the end of the process. Puts a handler before the one that is there, which
 * goes on to get every other SIGBUS. Returns ENGRAM_OK, ENGRAM_ERROR_ARGUMENT if the process has
 * no handler, ENGRAM_ERROR_TIER where there is no guard. For one thread to call, once.
 */
ENGRAM_API int engram_guard(void);

/* Returns the process's handler of SIGBUS, for the caller to look whose it is, or null. */
ENGRAM_API void *engram_fault_handler(void);

/* Fills in what is known of an element type; ENGRAM_ERROR_ARGUMENT if there is none. */
ENGRAM_API int engram_describe_row_type(int type, struct engram_row_type *about);

/*
 * Stage hash: row ids of `tokens` tokens.
 *   windows [tokens, max_ngram] int32, newest first, the pad id where look-back is blocked
 *   row_ids [tokens, columns] int64, written
 */
ENGRAM_API int engram_hash(int tier, const struct engram_layout *layout, const int *windows,
                           long long tokens, long long *row_ids);

/*
 * Stage gather: widens the rows of `count` ids.
 *   row_ids [count] int64; -1 gives zeros
 *   out     [count, head_dim] of out_type, ENGRAM_F32 or ENGRAM_BF16 (nearest even); on
 *           ENGRAM_ERROR_ROW it holds the rows before the first bad id's group of 24
 */
ENGRAM_API int engram_gather(int tier, const struct engram_table *table, const long long *row_ids,
                             long long count, void *out, int out_type);

/*
 * The stages hash and gather of all layers of a model in one call, for one step.
 *   layouts, tables  [layers]; the layouts' windows are equally long
 *   windows [tokens, max_ngram] int32, as for engram_hash
 *   row_ids int64, written: per layer [tokens, columns]
 *   rows    of out_type, written: per layer [tokens, columns, head_dim]
 */
ENGRAM_API int engram_lookup(int tier, int layers, const struct engram_layout *const *layouts,
                             const struct engram_table *const *tables, const int *windows,
                             long long tokens, long long *row_ids, void *rows, int out_type);

/*
 * Stage project: out = in * weight^T + bias, for outputs [first, first + count).
 *   in  [tokens, inputs] float
 *   out [tokens, out_stride] float: column 0 receives output `first`
 *   scratch  null, or memory of this call alone, 64-byte aligned: with as many bytes as
 *            engram_project_scratch says batches may go a faster way. Sums are then added in
 *            another order, the same for every output.
 */
ENGRAM_API int engram_project(int tier, const struct engram_linear *linear, const float *in,
                              long long tokens, int first, int count, float *out,
                              long long out_stride, void *scratch, long long scratch_bytes);

/* Returns how many bytes of scratch would help a call of so many tokens, or a status below 0. */
ENGRAM_API long long engram_project_scratch(int tier, const struct engram_linear *linear,
                                            long long tokens);

/*
 * Returns 1 if no weight is NaN, 0 if some are, or a status below 0. Reads all fp8 weights; of
 * other types it knows nothing and returns 0. For the field nan_free, once per matrix.
 */
ENGRAM_API int engram_nan_free(int tier, const struct engram_linear *linear);

/*
 * Stage gate.
 *   kv     [tokens, (branches + 1) * hidden] float: a key per branch, then the value
 *   stream hidden states of `type` ENGRAM_F32 or ENGRAM_BF16; strides in bytes
 *   mask   [tokens] int8; where 0 the gate is 0 and the stream keeps its bits
 *   gates  [tokens, branches] float, written
 *   gated  null: the stream receives stream + gate * value;
 *          else [tokens, branches * hidden] float receives gate * value, the stream is only read
 */
ENGRAM_API int engram_gate(int tier, const struct engram_gate_weights *gate, const float *kv,
                           void *stream, int type, long long token_stride, long long branch_stride,
                           const signed char *mask, long long tokens, float *gates, float *gated);

/*
 * Stage conv, of consecutive tokens of one sequence: adds gated + SiLU(convolution) to the stream.
 *   gated  [tokens, channels] float, channels = branches * hidden; then what was added, zeros where
 *          the mask is 0
 *   window [rows, channels] float: the (kernel - 1) * dilation rows before `first` are normalised
 *          values of the tokens before; those from it on are written
 *   mask, stream, strides as for engram_gate
 */
ENGRAM_API int engram_conv(int tier, const struct engram_conv_weights *conv, float *gated,
                           float *window, long long first, const signed char *mask,
                           long long tokens, void *stream, int type, long long token_stride,
                           long long branch_stride);

#ifdef __cplusplus
}
#endif
#endif
