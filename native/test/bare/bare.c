/*
 * The cases on a bare machine, for a CPU that only an emulator has: results go to the serial port,
 * then the machine is switched off. Buffers lie between bytes that must keep their value.
 */
#include <stdint.h>

#include "../harness.h"

#define CASES 400
#define MASS 3000
#define MARGIN 64

extern char heap_start[];

static inline void out(uint16_t port, uint8_t value) {
  __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint8_t in(uint16_t port) {
  uint8_t value;
  __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}

static void text(const char *from) {
  for (; *from; from++) {
    while (!(in(0x3fd) & 0x20)) {
    }
    out(0x3f8, (uint8_t)*from);
  }
}

static void number(long long value) {
  char digits[24];
  int at = 23;
  unsigned long long rest = value < 0 ? 0 - (unsigned long long)value : (unsigned long long)value;
  digits[at] = 0;
  do {
    digits[--at] = (char)('0' + rest % 10);
    rest /= 10;
  } while (rest);
  if (value < 0) {
    digits[--at] = '-';
  }
  text(digits + at);
}

/* What compilers may call, since there is no C library. */
void *memset(void *to, int value, size_t bytes) {
  for (volatile char *p = to; bytes > 0; bytes--) {
    *p++ = (char)value;
  }
  return to;
}

void *memcpy(void *to, const void *from, size_t bytes) {
  const char *source = from;
  for (volatile char *p = to; bytes > 0; bytes--) {
    *p++ = *source++;
  }
  return to;
}

int memcmp(const void *a, const void *b, size_t bytes) {
  const unsigned char *x = a;
  const unsigned char *y = b;
  for (; bytes > 0; bytes--, x++, y++) {
    if (*x != *y) {
      return *x - *y;
    }
  }
  return 0;
}

static struct {
  unsigned char *start;
  size_t length;
} buffers[64];
static int used;
static unsigned char *top;

static void *buffer(unsigned char *start, size_t bytes) {
  memset(start, 0xa5, MARGIN);
  memset(start + MARGIN + bytes, 0xa5, MARGIN);
  buffers[used].start = start;
  buffers[used++].length = bytes;
  top = start + MARGIN + bytes + MARGIN;
  return start + MARGIN;
}

void *guarded(size_t bytes) {
  return buffer(top + (next() & 63), bytes);
}

void *guarded_lines(size_t bytes) {
  return buffer(top + (-(uintptr_t)top & 63), bytes); /* a margin is a line */
}

void release(void) {
  while (used > 0) {
    used--;
    unsigned char *start = buffers[used].start;
    int intact = 1;
    for (int i = 0; i < MARGIN; i++) {
      intact &= start[i] == 0xa5 && start[MARGIN + buffers[used].length + i] == 0xa5;
    }
    expect(intact, "bytes around a buffer", (long long)buffers[used].length);
  }
  top = (unsigned char *)heap_start;
}

void report(const char *what, long long at) {
  text("FAILED: ");
  text(what);
  text(" at ");
  number(at);
  text("\n");
}

int main(void) {
  top = (unsigned char *)heap_start;
  out(0x3fb, 3); /* 8 bits a character */
  random_state = 1;
  __asm__ volatile("" : "+m"(random_state)); /* nothing may be computed before the run */
  report("on purpose, to see that failures are seen", 0);
  for (int tier = 1; tier < TIERS; tier++) {
    const char *problem = engram_tier_problem(tier);
    text("tier ");
    text(tier_name(tier));
    if (problem) {
      text(" not executed: ");
      text(problem);
    } else {
      long long before = checked;
      words(tier);
      run_tier(tier, CASES, MASS);
      text(" executed: ");
      number(checked - before);
      text(" comparisons");
    }
    text("\n");
  }
  number(checked - failures);
  text(" comparisons passed, ");
  number(failures);
  text(" failed\nend\n");
  while (!(in(0x3fd) & 0x40)) { /* until the last byte has left */
  }
  for (const char *p = "Shutdown"; *p; p++) { /* what Bochs takes for the power switch */
    out(0x8900, (uint8_t)*p);
  }
  return 0;
}
