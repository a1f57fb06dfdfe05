/* The stack probe of libraries for Windows on AArch64, executed where AArch64 is at hand. */
#include <stdint.h>
#include <stdio.h>

#include "../../ci/cmake/windows/entry.c"

/* Probes for a frame of so many units of 16 bytes; returns whether it went as far as it must. */
static int probes_all(uint64_t units) {
  uint64_t after;
  uint64_t top;
  uint64_t lowest; /* what it touched last */
  __asm__ volatile("mov x15, %3\n  bl __chkstk\n  mov %0, x15\n  mov %1, sp\n  mov %2, x17"
                   : "=&r"(after), "=&r"(top), "=&r"(lowest)
                   : "r"(units)
                   : "x15", "x16", "x17", "x30", "cc", "memory");
  uint64_t bytes = top - lowest;
  return after == units && bytes >= 16 * units && bytes < 16 * units + 4096 && bytes % 4096 == 0;
}

int main(void) {
  int failed = DllMainCRTStartup(NULL, 1, NULL) != 1;
  int probes = 0;
  for (uint64_t units = 256; units < 40000; units += 777, probes++) {
    failed += !probes_all(units);
  }
  printf("%d probes, %d failed\n", probes, failed);
  return failed != 0;
}
