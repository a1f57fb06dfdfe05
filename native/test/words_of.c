#include "harness.h"

#if defined(__x86_64__)
void engram_avx2_words(void);
void engram_avx512_words(void);
void engram_amx_bf16_words(void);
#elif defined(__aarch64__)
void engram_neon_words(void);
#endif

void words(int tier) {
  switch (tier) {
#if defined(__x86_64__)
    case ENGRAM_TIER_AVX2:
      engram_avx2_words();
      break;
    case ENGRAM_TIER_AVX512:
      engram_avx512_words();
      break;
#if defined(__linux__)
    case ENGRAM_TIER_AMX_BF16:
      engram_amx_bf16_words();
      break;
#endif
#elif defined(__aarch64__)
    case ENGRAM_TIER_NEON:
      engram_neon_words();
      break;
#endif
    default:
      break; /* the others have no words of their own */
  }
}
