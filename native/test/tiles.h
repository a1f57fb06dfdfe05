/* Asks Linux for AMX tiles, as a process has to before it uses that tier. */
#ifndef ENGRAM_TEST_TILES_H
#define ENGRAM_TEST_TILES_H

#if defined(__linux__) && defined(__x86_64__)
#include <sys/syscall.h>

long syscall(long number, ...); /* which unistd.h has for GNU C alone */

static inline void ask_for_tiles(void) {
  syscall(SYS_arch_prctl, 0x1023 /* ARCH_REQ_XCOMP_PERM */, 18 /* tile data */);
}
#else
static inline void ask_for_tiles(void) {
}
#endif

#endif
