/*
 * The thread's floating-point setting. Libraries that a process has loaded leave threads with
 * subnormals flushed or another rounding; results do not depend on it: a call computes with
 * rounding to nearest, nothing flushed, nothing trapped, and gives back what it found, which
 * seldom takes more than reading it.
 */
#ifndef ENGRAM_ROUNDING_H
#define ENGRAM_ROUNDING_H

#include <stdint.h>

#if defined(__x86_64__)
typedef uint32_t engram_setting;
#define ENGRAM_ORDINARY 0x1f80u /* all exceptions masked */
#define ENGRAM_SEEN 0x3fu       /* exceptions that happened: no setting */

static inline engram_setting engram_get_setting(void) {
  engram_setting value;
  __asm__ volatile("stmxcsr %0" : "=m"(value));
  return value;
}

static inline void engram_set_setting(engram_setting value) {
  __asm__ volatile("ldmxcsr %0" : : "m"(value) : "memory");
}
#elif defined(__aarch64__)
typedef uint64_t engram_setting;
#define ENGRAM_ORDINARY 0u
#define ENGRAM_SEEN 0u

static inline engram_setting engram_get_setting(void) {
  engram_setting value;
  __asm__ volatile("mrs %0, fpcr" : "=r"(value));
  return value;
}

static inline void engram_set_setting(engram_setting value) {
  __asm__ volatile("msr fpcr, %0" : : "r"(value) : "memory");
}
#else
typedef uint32_t engram_setting;
#define ENGRAM_ORDINARY 0u
#define ENGRAM_SEEN 0u

static inline engram_setting engram_get_setting(void) {
  return 0;
}

static inline void engram_set_setting(engram_setting value) {
  (void)value;
}
#endif

/* Returns what to give to engram_leave. */
static inline engram_setting engram_enter(void) {
  engram_setting found = engram_get_setting();
  if ((found & ~(engram_setting)ENGRAM_SEEN) != ENGRAM_ORDINARY) {
    engram_set_setting(ENGRAM_ORDINARY);
  }
  return found;
}

static inline void engram_leave(engram_setting found) {
  if ((found & ~(engram_setting)ENGRAM_SEEN) != ENGRAM_ORDINARY) {
    engram_set_setting(found);
  }
}

#endif
