#include "guard.h"

#include <stddef.h>
#include <stdint.h>

#include "../include/engram.h"
#include "rounding.h"

#if defined(__linux__) && defined(__GNUC__) && !defined(__clang__) && \
    (defined(__x86_64__) || defined(__aarch64__))
#define GUARD 1
#endif

#if defined(GUARD)
/*
 * No C library: system calls by number, the kernel's own structures, and a table of the calls under
 * way instead of thread-local storage, which a handler must not touch for the first time.
 */
#define SIGBUS 7
#define NO_SUCH_PAGE 2 /* si_code: beyond the end of the mapped object, or it cannot be read */
#define CALLS 256
#define PROBES 16

struct action {
  void (*handler)(int, void *, void *);
  unsigned long flags;
  void *restorer;
  uint64_t mask;
};

struct call {
  uintptr_t thread; /* its thread pointer, 0 if free */
  void *jump[5];
  char line[64 - sizeof(uintptr_t) - 5 * sizeof(void *)]; /* calls share no cache line */
};

static struct call calls[CALLS] __attribute__((aligned(64)));
static void (*next)(int, void *, void *); /* who had the signal before */

#if defined(__x86_64__)
#define RT_SIGACTION 13
static long action_call(const struct action *set, struct action *old) {
  register long r10 __asm__("r10") = sizeof(uint64_t);
  long result;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(RT_SIGACTION), "D"(SIGBUS), "S"(set), "d"(old), "r"(r10)
                   : "rcx", "r11", "memory");
  return result;
}

static uintptr_t thread(void) {
  uintptr_t pointer;
  __asm__ volatile("mov %%fs:0, %0" : "=r"(pointer));
  return pointer;
}

/* Where the kernel keeps registers in a ucontext. */
#define REGISTERS 40
#define RDI 8
#define RSP 15
#define RIP 16

static void continue_at(void *context, void (*function)(struct call *), struct call *argument) {
  uint64_t *registers = (uint64_t *)((char *)context + REGISTERS);
  const uint64_t red_zone = 128;
  registers[RSP] = ((registers[RSP] - red_zone) & ~15ull) - 8; /* as behind a call instruction */
  registers[RDI] = (uint64_t)(uintptr_t)argument;
  registers[RIP] = (uint64_t)(uintptr_t)function;
}
#else
#define RT_SIGACTION 134
static long action_call(const struct action *set, struct action *old) {
  register long x8 __asm__("x8") = RT_SIGACTION;
  register long x0 __asm__("x0") = SIGBUS;
  register const void *x1 __asm__("x1") = set;
  register void *x2 __asm__("x2") = old;
  register long x3 __asm__("x3") = sizeof(uint64_t);
  __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
  return x0;
}

static uintptr_t thread(void) {
  uintptr_t pointer;
  __asm__ volatile("mrs %0, tpidr_el0" : "=r"(pointer));
  return pointer;
}

/* Where the kernel keeps registers in a ucontext: x0 to x30, sp, pc. */
#define REGISTERS 184
#define PC 32

static void continue_at(void *context, void (*function)(struct call *), struct call *argument) {
  uint64_t *registers = (uint64_t *)((char *)context + REGISTERS);
  registers[0] = (uint64_t)(uintptr_t)argument;
  registers[PC] = (uint64_t)(uintptr_t)function;
}
#endif

#if defined(__SANITIZE_ADDRESS__)
void __asan_handle_no_return(void);
#endif

/* Out of the handler, on the thread's own stack: the system has put its mask of signals back. */
static void leave(struct call *call) {
#if defined(__SANITIZE_ADDRESS__)
  __asan_handle_no_return();
#endif
  __builtin_longjmp(call->jump, 1);
}

static void on_fault(int signal, void *information, void *context) {
  int code;
  __builtin_memcpy(&code, (char *)information + 8, sizeof code);
  uintptr_t own = thread();
  for (int i = 0; code == NO_SUCH_PAGE && i < CALLS; i++) {
    if (__atomic_load_n(&calls[i].thread, __ATOMIC_RELAXED) == own) {
      continue_at(context, leave, calls + i);
      return;
    }
  }
  next(signal, information, context);
}

void *engram_fault_handler(void) {
  struct action found = {0};
  return action_call(NULL, &found) == 0 ? (void *)found.handler : NULL;
}

int engram_guard(void) {
  struct action found = {0};
  if (action_call(NULL, &found) != 0 || (uintptr_t)found.handler <= 1) {
    return ENGRAM_ERROR_ARGUMENT; /* nobody to hand on to what is not ours */
  }
  if (found.handler == on_fault) {
    return ENGRAM_OK;
  }
  struct action own = found; /* the same stack, mask and restorer */
  own.handler = on_fault;
  __atomic_store_n(&next, found.handler, __ATOMIC_RELEASE);
  return action_call(&own, NULL) == 0 ? ENGRAM_OK : ENGRAM_ERROR_ARGUMENT;
}

/* The calls of a thread begin to look at another place, so that they seldom meet. */
static struct call *claim(uintptr_t own) {
  uintptr_t start = (own >> 12) * 0x9e3779b97f4a7c15ull >> 48;
  for (uintptr_t i = start; i < start + PROBES; i++) {
    struct call *call = calls + i % CALLS;
    uintptr_t nobody = 0;
    if (__atomic_compare_exchange_n(&call->thread, &nobody, own, 0, __ATOMIC_ACQUIRE,
                                    __ATOMIC_RELAXED)) {
      return call;
    }
  }
  return NULL; /* hundreds of calls at once: this one goes without */
}

static __attribute__((noinline)) int run(struct call *call, int (*work)(void *), void *arguments) {
  return __builtin_setjmp(call->jump) ? ENGRAM_ERROR_MEMORY : work(arguments);
}

int engram_guarded(int (*work)(void *), void *arguments) {
  engram_setting found = engram_enter();
  struct call *call = __atomic_load_n(&next, __ATOMIC_ACQUIRE) ? claim(thread()) : NULL;
  int status = call ? run(call, work, arguments) : work(arguments);
  if (call) {
    __atomic_store_n(&call->thread, 0, __ATOMIC_RELEASE);
  }
  engram_leave(found);
  return status;
}
#else
void *engram_fault_handler(void) {
  return NULL;
}

int engram_guard(void) {
  return ENGRAM_ERROR_TIER;
}

int engram_guarded(int (*work)(void *), void *arguments) {
  engram_setting found = engram_enter();
  int status = work(arguments);
  engram_leave(found);
  return status;
}
#endif
