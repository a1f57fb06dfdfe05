package io.engram4j.os;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemoryLayout.PathElement;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;

/**
 * The C library's functions for memory and files on Linux. Results below 0 are negative errnos, as
 * the kernel has them. Made when it is first used, since native access may be denied.
 */
@SuppressWarnings("restricted")
final class Libc {
  static final int READ_WRITE = 3;
  static final int SHARED = 1;
  static final int PRIVATE_ANONYMOUS = 0x22;
  static final int HUGETLB = 0x40000 | 21 << 26; // pages of 2 MiB, whatever the default is

  static final long PAGE;

  private static final MemoryLayout STATE = Linker.Option.captureStateLayout();
  private static final long ERRNO = STATE.byteOffset(PathElement.groupElement("errno"));
  private static final MethodHandle MMAP =
      handle("mmap", ADDRESS, ADDRESS, JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_LONG);
  private static final MethodHandle MUNMAP = handle("munmap", JAVA_INT, ADDRESS, JAVA_LONG);
  private static final MethodHandle MLOCK = handle("mlock", JAVA_INT, ADDRESS, JAVA_LONG);
  private static final MethodHandle MINCORE =
      handle("mincore", JAVA_INT, JAVA_LONG, JAVA_LONG, ADDRESS);
  private static final MethodHandle CLOSE = handle("close", JAVA_INT, JAVA_INT);
  private static final MethodHandle LSEEK =
      handle("lseek", JAVA_LONG, JAVA_INT, JAVA_LONG, JAVA_INT);
  private static final MethodHandle OPEN = handle(2, "open", JAVA_INT, ADDRESS, JAVA_INT);
  private static final MethodHandle SYSCALL =
      handle(
          1, "syscall", JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG,
          JAVA_LONG);
  // these two run often, and nobody asks for their errno
  private static final MethodHandle MADVISE =
      plain("madvise", FunctionDescriptor.of(JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_INT));
  private static final MethodHandle CPU = plain("sched_getcpu", FunctionDescriptor.of(JAVA_INT));

  static {
    try {
      PAGE = (int) plain("getpagesize", FunctionDescriptor.of(JAVA_INT)).invokeExact();
    } catch (Throwable e) {
      throw new ExceptionInInitializerError(e);
    }
  }

  private Libc() {}

  private static MethodHandle handle(String name, MemoryLayout result, MemoryLayout... arguments) {
    return handle(-1, name, result, arguments);
  }

  /** A function whose arguments from the {@code variadic} on are variadic, if that is not -1. */
  private static MethodHandle handle(
      int variadic, String name, MemoryLayout result, MemoryLayout... arguments) {
    Linker.Option errno = Linker.Option.captureCallState("errno");
    Linker.Option[] options =
        variadic < 0
            ? new Linker.Option[] {errno}
            : new Linker.Option[] {errno, Linker.Option.firstVariadicArg(variadic)};
    return plain(name, FunctionDescriptor.of(result, arguments), options);
  }

  private static MethodHandle plain(
      String name, FunctionDescriptor descriptor, Linker.Option... options) {
    Linker linker = Linker.nativeLinker();
    return linker.downcallHandle(linker.defaultLookup().findOrThrow(name), descriptor, options);
  }

  /** A call of a function, which is given where to leave its errno. */
  private interface Call {
    long run(MemorySegment state) throws Throwable;
  }

  /** Returns the result, or the negative errno if it is -1. */
  private static long call(Call call) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment state = arena.allocate(STATE);
      long result = call.run(state);
      return result == -1 ? -state.get(JAVA_INT, ERRNO) : result;
    } catch (RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw new IllegalStateException(e);
    }
  }

  /** Returns the address of a new mapping. */
  static long map(long bytes, int flags, int file, long offset) {
    return call(state ->
        ((MemorySegment)
                MMAP.invokeExact(state, MemorySegment.NULL, bytes, READ_WRITE, flags, file, offset))
            .address());
  }

  static void unmap(long address, long bytes) {
    MemorySegment map = MemorySegment.ofAddress(address);
    long unused = call(state -> (int) MUNMAP.invokeExact(state, map, bytes));
  }

  static int lock(MemorySegment memory) {
    return (int) call(state -> (int) MLOCK.invokeExact(state, memory, memory.byteSize()));
  }

  /** Advice may be refused, so there is no result. */
  static void advise(long address, long bytes, int advice) {
    try {
      int unused = (int) MADVISE.invokeExact(address, bytes, advice);
    } catch (Throwable e) {
      throw new IllegalStateException(e);
    }
  }

  /** Writes a byte per page, with its lowest bit set if the page is in memory. */
  static int inCore(long address, long bytes, MemorySegment pages) {
    return (int) call(state -> (int) MINCORE.invokeExact(state, address, bytes, pages));
  }

  /** Returns the core that runs this thread, or -1. */
  static int cpu() {
    try {
      return (int) CPU.invokeExact();
    } catch (Throwable e) {
      throw new IllegalStateException(e);
    }
  }

  static int open(String path, int flags) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment name = arena.allocateFrom(path);
      return (int) call(state -> (int) OPEN.invokeExact(state, name, flags));
    }
  }

  static void close(int file) {
    long unused = call(state -> (int) CLOSE.invokeExact(state, file));
  }

  /** Returns a file's bytes. */
  static long size(int file) {
    return call(state -> (long) LSEEK.invokeExact(state, file, 0L, 2));
  }

  /** A system call that the C library has no function for. */
  static long system(long number, long a, long b, long c, long d, long e, long f) {
    return call(state -> (long) SYSCALL.invokeExact(state, number, a, b, c, d, e, f));
  }

  /** Returns what statx says that direct reads of a file begin at multiples of, or 0. */
  static int directAlignment(String path) {
    long number = System.getProperty("os.arch").equals("aarch64") ? 291 : 332;
    int directAlignment = 0x2000; // since Linux 6.1, and for some file systems
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment name = arena.allocateFrom(path);
      MemorySegment about = arena.allocate(256, 8);
      long result = system(number, -100, name.address(), 0, directAlignment, about.address(), 0);
      boolean known = result == 0 && (about.get(JAVA_INT, 0) & directAlignment) != 0;
      return known ? about.get(JAVA_INT, 156) : 0;
    }
  }

  /** Makes room for the errno of {@link #enter}. */
  static MemorySegment state(Arena arena) {
    return arena.allocate(STATE);
  }

  /** Begins and awaits reads of a ring; unlike the others it allocates nothing. */
  static int enter(MemorySegment state, long ring, long begin, long least) {
    long begun;
    try {
      begun = (long) SYSCALL.invokeExact(state, 426L, ring, begin, least, 1L, 0L, 0L);
    } catch (Throwable e) {
      throw new IllegalStateException(e);
    }
    return begun == -1 ? -state.get(JAVA_INT, ERRNO) : (int) begun;
  }
}
