/*
 * Floating-point settings of the thread, drawn at random around every call of a kernel: results do
 * not depend on them, and calls leave them.
 */
#define HARNESS_CALLS_PLAINLY
#include "harness.h"

#if defined(__x86_64__)
#define ORDINARY 0x1f80u
#define SEEN 0x3fu /* exceptions that happened */
#define FLUSHES 0x8040u
#define ROUNDING 0x6000u
#define MASKS 0x1f80u

static unsigned long long get(void) {
  unsigned value;
  __asm__ volatile("stmxcsr %0" : "=m"(value));
  return value;
}

static void set(unsigned long long value) {
  unsigned low = (unsigned)value;
  __asm__ volatile("ldmxcsr %0" : : "m"(low));
}

static unsigned long long odd(void) {
  unsigned long long bits = next() & (FLUSHES | ROUNDING);
  return bits | (below(4) ? MASKS : 0); /* or every exception traps */
}
#elif defined(__aarch64__)
#define ORDINARY 0u
#define SEEN 0u
#define FLUSHES 0x1000000u
#define ROUNDING 0xc00000u

static unsigned long long get(void) {
  unsigned long long value;
  __asm__ volatile("mrs %0, fpcr" : "=r"(value));
  return value;
}

static void set(unsigned long long value) {
  __asm__ volatile("msr fpcr, %0" : : "r"(value));
}

static unsigned long long odd(void) {
  return next() & (FLUSHES | ROUNDING);
}
#endif

static unsigned long long given;

void odd_setting(void) {
  given = below(2) ? ORDINARY : odd();
  set(given);
}

int ordinary_setting(int status) {
  unsigned long long left = get();
  set(ORDINARY);
  expect(((left ^ given) & ~(unsigned long long)SEEN) == 0, "setting that a call left",
         (long long)left);
  return status;
}
