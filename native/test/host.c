/*
 * Runs the cases of every tier that this machine has, with each buffer flush against an unreadable
 * page, behind or before.
 * Arguments: cases for each tier, row ids and rows in mass, seed (0: from the clock), where this
 * runs, the file to which tiers and cases are added.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "guard_cases.h"
#include "harness.h"
#include "tiles.h"

int main(int argc, char **argv) {
  long long cases = argc > 1 ? atoll(argv[1]) : 20000;
  long long mass = argc > 2 ? atoll(argv[2]) : 2000000;
  unsigned long long seed = argc > 3 ? strtoull(argv[3], NULL, 10) : 1;
  ask_for_tiles();
  const char *where = argc > 4 ? argv[4] : "natively";
  FILE *reports = argc > 5 ? fopen(argv[5], "a") : NULL;
  random_state =
      seed ? seed : (seed = (unsigned long long)time(NULL) * 1000003 + (unsigned long long)clock());
  printf("built by %s, seed %llu\n", engram_build_info(), seed);
  for (int tier = 0; tier < TIERS; tier++) {
    const char *problem = engram_tier_problem(tier);
    if (problem) {
      printf("tier %s not executed: %s\n", tier_name(tier), problem);
      continue;
    }
    char tier_and_seed[80];
    snprintf(tier_and_seed, sizeof tier_and_seed, "tier %s, seed %llu", tier_name(tier), seed);
    running = tier_and_seed;
    long long before = checked;
    words(tier);
    run_tier(tier, cases, mass);
    guard_cases(tier);
    running = "no tier";
    printf("tier %s executed %s: %lld comparisons\n", tier_name(tier), where, checked - before);
    if (reports) {
      fprintf(reports, "C tests of tier %s %s, seed %llu, comparisons: %lld\n", tier_name(tier),
              where, seed, checked - before);
    }
  }
  if (reports && fclose(reports) != 0) {
    perror(argv[5]);
    return 2;
  }
  printf("%lld comparisons passed, %d failed\n", checked - failures, failures);
  return failures == 0 && checked > 0 ? 0 : 1;
}
