/* Which tier this CPU and operating system can run. */
#include "kernels.h"

#if defined(ENGRAM_HAVE_AVX2)
#include <cpuid.h>

/* What the operating system saves on a context switch: without it the CPU's registers are no use.
 */
static uint64_t enabled_state(void) {
  uint32_t low;
  uint32_t high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t)high << 32 | low;
}

int engram_detect_tier(void) {
  uint32_t a;
  uint32_t b;
  uint32_t c;
  uint32_t d;
  const uint32_t fma = 1u << 12;
  const uint32_t osxsave = 1u << 27;
  const uint32_t avx = 1u << 28;
  const uint32_t f16c = 1u << 29;
  const uint32_t wanted = fma | osxsave | avx | f16c;
  const uint32_t avx2 = 1u << 5;
  if (!__get_cpuid(1, &a, &b, &c, &d) || (c & wanted) != wanted) {
    return ENGRAM_TIER_SCALAR;
  }
  if ((enabled_state() & 6) != 6) { /* XMM and YMM */
    return ENGRAM_TIER_SCALAR;
  }
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & avx2)) {
    return ENGRAM_TIER_SCALAR;
  }
  return ENGRAM_TIER_AVX2;
}

#else

int engram_detect_tier(void) {
  return ENGRAM_TIER_SCALAR;
}

#endif
