/*
 * What the cases of the stages share. They need no C library, so that they also run on a bare
 * machine; host.c and guarded.c, or bare.c, give them memory and output.
 */
#ifndef ENGRAM_HARNESS_H
#define ENGRAM_HARNESS_H

#include <stddef.h>

#include "../include/engram.h"

/* Given by guarded.c and bare.c. Buffers are flush against memory that must not be touched, behind
   or before, at any alignment; release gives all of them back, having looked at what lies around.
 */
void *guarded(size_t bytes);
void *guarded_lines(size_t bytes); /* the same, 64-byte aligned: bytes is a multiple of 64 */
void release(void);
void report(const char *what, long long at); /* a failure */
extern const char *running;                  /* tier and seed, for that; not on a bare machine */

/* Given by random.c. */
extern unsigned long long random_state;
unsigned long long next(void);
long long below(long long bound);
float gaussian(void);
int size(void); /* around the edges of vectors and blocks */
void floats(float *to, long long count);
void wild_floats(float *to, long long count); /* NaN, infinities, subnormals, zeros among them */
void floats_of_any_size(float *to, long long count); /* from 1e-20 to 1e20 */
float at(const float *from, long long i);
int same_bits(const void *a, const void *b, size_t bytes); /* bit for bit */
int is_nan(float value);
int is_finite(float value);

#define MOST_FAILURES 10 /* then a run ends: the rest would say the same */
extern long long checked;
extern int failures;
void expect(int condition, const char *what, long long at);
/* ||a - b|| <= 2e-6 ||b|| */
void close_norm(const float *a, const float *b, long long count, const char *what);
/* the same against ||part||, one of two that were added up, where that is larger: they may cancel
 */
void close_sum(const float *a, const float *b, const float *part, long long count,
               const char *what);
/* both NaN, the same, or apart by no more than bound */
void close_each(float a, float b, double bound, const char *what, long long at);

/* A stream of F32 or BF16 with gaps between branches and tokens; strides in bytes. */
struct stream {
  unsigned char *data;
  int type;
  long long token_stride;
  long long branch_stride;
  size_t bytes;
};
struct stream random_stream(long long tokens, int branches, int hidden);
struct stream same_stream(const struct stream *s);
float stream_at(const struct stream *s, long long token, int branch, int i);
signed char *random_mask(long long tokens);

/* A matrix of a random type; a wild one is fp8 with NaN and scales of all sizes. */
struct engram_linear random_linear(int inputs, int outputs, int wild);
/* outputs of a projection, each within a part of the magnitudes of its terms */
void close_projection(const struct engram_linear *l, const float *in, long long tokens,
                      const float *actual, const float *expected);

/* One random case of each stage at a tier against the scalar tier. */
void hash_case(int tier);
void gather_case(int tier);
void project_case(int tier);
void gate_case(int tier);
void conv_case(int tier);
/* Multiples of a modulus, one more and one less, where rounding is hardest. */
void hash_edges(int tier, int count);
/* At least so many row ids, and rows, of a model's real sizes. */
void hash_mass(int tier, long long row_ids);
void gather_mass(int tier, long long rows);
/* Every code with every scale, exact. */
void gather_codes(int tier);
void gather_strides(int tier);
void project_wild(int tier);
void gate_wild(int tier);
void arguments(int tier);
/* Each word of the vector vocabulary; nothing at the scalar tier. */
void words(int tier);

/* All of the above; returns the number of cases. */
long long run_tier(int tier, long long cases, long long mass);
const char *tier_name(int tier);

#define TIERS 7

/* Given by settings.c: around every call of a kernel the thread has another setting. */
void odd_setting(void);
int ordinary_setting(int status);
#ifndef HARNESS_CALLS_PLAINLY
#define CALL(call) ordinary_setting((odd_setting(), call))
#define engram_hash(...) CALL(engram_hash(__VA_ARGS__))
#define engram_gather(...) CALL(engram_gather(__VA_ARGS__))
#define engram_lookup(...) CALL(engram_lookup(__VA_ARGS__))
#define engram_project(...) CALL(engram_project(__VA_ARGS__))
#define engram_gate(...) CALL(engram_gate(__VA_ARGS__))
#define engram_conv(...) CALL(engram_conv(__VA_ARGS__))
#endif

#endif
