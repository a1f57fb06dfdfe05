/* Which tiers this build has and this CPU and operating system can run, and their kernels. */
#include "kernels.h"

#define ENGRAM_TIERS 7

#if defined(__x86_64__)
#include <cpuid.h>

static uint32_t sub_feature_bits(uint32_t leaf, uint32_t subleaf, int word) {
  uint32_t words[4] = {0, 0, 0, 0};
  if (!__get_cpuid_count(leaf, subleaf, &words[0], &words[1], &words[2], &words[3])) {
    return 0;
  }
  return words[word];
}

static uint32_t feature_bits(uint32_t leaf, int word) {
  return sub_feature_bits(leaf, 0, word);
}

/* What the operating system saves on a context switch: without it the CPU's registers are no use.
 */
static uint64_t saved_state(void) {
  const uint32_t osxsave = 1u << 27;
  if (!(feature_bits(1, 2) & osxsave)) {
    return 0;
  }
  uint32_t low;
  uint32_t high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t)high << 32 | low;
}

static const char *avx2_problem(void) {
  const uint32_t fma_avx_f16c = 1u << 12 | 1u << 28 | 1u << 29;
  const uint32_t avx2 = 1u << 5;
  const uint64_t xmm_ymm = 6;
  if ((feature_bits(1, 2) & fma_avx_f16c) != fma_avx_f16c || !(feature_bits(7, 1) & avx2)) {
    return "the CPU lacks AVX2, FMA or F16C";
  }
  return (saved_state() & xmm_ymm) == xmm_ymm ? NULL
                                              : "the operating system does not save YMM registers";
}

static const char *avx512_problem(void) {
  const uint32_t f_dq_bw_vl = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;
  const uint64_t all = 0xe6; /* XMM, YMM, masks, both halves of ZMM */
  if ((feature_bits(7, 1) & f_dq_bw_vl) != f_dq_bw_vl) {
    return "the CPU lacks AVX-512 F, BW, DQ or VL";
  }
  if ((saved_state() & all) != all) {
    return "the operating system does not save ZMM registers";
  }
  return avx2_problem();
}

static const char *avx512_bf16_problem(void) {
  const uint32_t vbmi = 1u << 1;
  const uint32_t bf16 = 1u << 5;
  if (!(feature_bits(7, 2) & vbmi) || !(sub_feature_bits(7, 1, 0) & bf16)) {
    return "the CPU lacks AVX-512 BF16 or VBMI";
  }
  return avx512_problem();
}

#if defined(ENGRAM_PORTABLE_TILES)
static const char *amx_bf16_problem(void) {
  return avx2_problem();
}
#elif defined(__linux__)
#define ARCH_PRCTL 158
#define ARCH_GET_XCOMP_PERM 0x1022

/* A process has tiles only after it asked for them; without, the first one ends it. */
static uint64_t permitted_state(void) {
  uint64_t state = 0;
  long result;
  __asm__ volatile("syscall"
                   : "=a"(result), "+m"(state)
                   : "a"(ARCH_PRCTL), "D"(ARCH_GET_XCOMP_PERM), "S"(&state)
                   : "rcx", "r11", "memory");
  return result == 0 ? state : 0;
}

static const char *amx_bf16_problem(void) {
  const uint32_t bf16_and_tile = 1u << 22 | 1u << 24;
  const uint64_t tiles = 3u << 17; /* their shapes and their data */
  const char *below = avx512_bf16_problem();
  if (below) {
    return below;
  }
  if ((feature_bits(7, 3) & bf16_and_tile) != bf16_and_tile) {
    return "the CPU lacks AMX-BF16";
  }
  if ((saved_state() & tiles) != tiles) {
    return "the operating system does not save AMX tiles";
  }
  return (permitted_state() & tiles) == tiles ? NULL
                                              : "the operating system gave no AMX tiles to this "
                                                "process";
}
#else
static const char *amx_bf16_problem(void) {
  return "AMX is used on Linux alone";
}
#endif

static const char *problem(int tier) {
  switch (tier) {
    case ENGRAM_TIER_SCALAR:
      return NULL;
    case ENGRAM_TIER_AMX_BF16:
      return amx_bf16_problem();
    case ENGRAM_TIER_AVX512_BF16:
      return avx512_bf16_problem();
    case ENGRAM_TIER_AVX2:
      return avx2_problem();
    case ENGRAM_TIER_AVX512:
      return avx512_problem();
    case ENGRAM_TIER_NEON:
    case ENGRAM_TIER_NEON_BF16:
      return "this is x86-64";
    default:
      return "there is no such tier";
  }
}

#else

#if defined(__aarch64__) && defined(__linux__)
#define HWCAP2 26
#define HWCAP2_BF16 (1ul << 14)
unsigned long getauxval(unsigned long kind); /* of every C library; no header has to be there */

static const char *neon_bf16_problem(void) {
  return getauxval(HWCAP2) & HWCAP2_BF16 ? NULL : "the CPU lacks BF16";
}
#elif defined(__aarch64__)
static const char *neon_bf16_problem(void) {
  return "BF16 is used on Linux alone";
}
#endif

static const char *problem(int tier) {
  switch (tier) {
    case ENGRAM_TIER_SCALAR:
      return NULL;
#if defined(__aarch64__)
    case ENGRAM_TIER_AVX2:
    case ENGRAM_TIER_AVX512:
    case ENGRAM_TIER_AVX512_BF16:
    case ENGRAM_TIER_AMX_BF16:
      return "this is AArch64";
    case ENGRAM_TIER_NEON: /* every AArch64 has it */
      return NULL;
    case ENGRAM_TIER_NEON_BF16:
      return neon_bf16_problem();
#else
    case ENGRAM_TIER_AVX2:
    case ENGRAM_TIER_AVX512:
    case ENGRAM_TIER_AVX512_BF16:
    case ENGRAM_TIER_AMX_BF16:
    case ENGRAM_TIER_NEON:
    case ENGRAM_TIER_NEON_BF16:
      return "this build is for another architecture";
#endif
    default:
      return "there is no such tier";
  }
}

#endif

/*
 * CPUID traps into the hypervisor on virtual machines, so it is asked once: bit t for tier t, and a
 * bit above to say that it was asked. Threads that race store the same number.
 */
static int has_tier(int tier) {
  static unsigned known;
  const unsigned asked = 1u << ENGRAM_TIERS;
  unsigned tiers = __atomic_load_n(&known, __ATOMIC_RELAXED);
  if (!tiers) {
    tiers = asked;
    for (int t = 0; t < ENGRAM_TIERS; t++) {
      tiers |= problem(t) ? 0 : 1u << t;
    }
    __atomic_store_n(&known, tiers, __ATOMIC_RELAXED);
  }
  return tier >= 0 && tier < ENGRAM_TIERS && (tiers >> tier & 1);
}

const char *engram_tier_problem(int tier) {
  return problem(tier);
}

const struct engram_kernels *engram_kernels_of(int tier) {
  static const struct engram_kernels *const all[ENGRAM_TIERS] = {
    [ENGRAM_TIER_SCALAR] = &engram_scalar_kernels,
#if defined(__x86_64__)
    [ENGRAM_TIER_AVX2] = &engram_avx2_kernels,
    [ENGRAM_TIER_AVX512] = &engram_avx512_kernels,
    [ENGRAM_TIER_AVX512_BF16] = &engram_avx512_bf16_kernels,
#if defined(__linux__)
    [ENGRAM_TIER_AMX_BF16] = &engram_amx_bf16_kernels,
#endif
#elif defined(__aarch64__)
    [ENGRAM_TIER_NEON] = &engram_neon_kernels,
#if defined(__linux__)
    [ENGRAM_TIER_NEON_BF16] = &engram_neon_bf16_kernels,
#endif
#endif
  };
  return has_tier(tier) ? all[tier] : NULL;
}
