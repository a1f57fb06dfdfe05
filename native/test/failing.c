/* A test that fails, to see what is told of it: tier, seed, and an end after ten. */
#include <stdio.h>

#include "harness.h"

int main(void) {
  running = "tier avx2, seed 7";
  for (int i = 0; i < 1000; i++) {
    expect(i % 2 == 0, "an odd number", i);
  }
  printf("it went on\n");
  return 0;
}
