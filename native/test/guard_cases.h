/* Cases of a hosted machine alone, since they need files. */
#ifndef ENGRAM_GUARD_CASES_H
#define ENGRAM_GUARD_CASES_H

void guard_cases(int tier);

#endif
