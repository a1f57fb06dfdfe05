package io.engram4j.ffm;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.engram4j.table.HostMemory;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;

/** Linux: anonymous mappings in huge pages, locking, and advice on mapped files. */
public final class LinuxHostMemory implements HostMemory {
  private static final long HUGE = 2 << 20;
  private static final int READ_WRITE = 3;
  private static final int PRIVATE_ANONYMOUS = 0x22;
  private static final int HUGETLB = 0x40000;
  private static final int RANDOM = 1;
  private static final int WILL_NEED = 3;
  private static final int HUGE_PAGE = 14;

  /** Made by the service loader. */
  public LinuxHostMemory() {}

  /** The C library's functions; made when they are first used, since that may be denied. */
  @SuppressWarnings("restricted")
  private static final class Calls {
    static final long PAGE;
    private static final MemoryLayout STATE = Linker.Option.captureStateLayout();
    private static final long ERRNO =
        STATE.byteOffset(MemoryLayout.PathElement.groupElement("errno"));
    static final MethodHandle MMAP =
        handle(
            "mmap",
            FunctionDescriptor.of(
                ADDRESS, ADDRESS, JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_LONG));
    static final MethodHandle MUNMAP =
        handle("munmap", FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_LONG));
    static final MethodHandle MLOCK =
        handle(
            "mlock",
            FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_LONG),
            Linker.Option.captureCallState("errno"));
    static final MethodHandle MADVISE =
        handle("madvise", FunctionDescriptor.of(JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_INT));

    static {
      try {
        PAGE = (int) handle("getpagesize", FunctionDescriptor.of(JAVA_INT)).invokeExact();
      } catch (Throwable e) {
        throw new ExceptionInInitializerError(e);
      }
    }

    private static MethodHandle handle(
        String name, FunctionDescriptor descriptor, Linker.Option... options) {
      Linker linker = Linker.nativeLinker();
      MemorySegment address = linker.defaultLookup().findOrThrow(name);
      return linker.downcallHandle(address, descriptor, options);
    }

    static MemorySegment map(long bytes, int flags) {
      try {
        return (MemorySegment)
            MMAP.invokeExact(MemorySegment.NULL, bytes, READ_WRITE, flags, -1, 0L);
      } catch (Throwable e) {
        throw new IllegalStateException(e);
      }
    }

    static void unmap(MemorySegment map, long bytes) {
      try {
        int unused = (int) MUNMAP.invokeExact(map, bytes);
      } catch (Throwable e) {
        throw new IllegalStateException(e);
      }
    }

    static void advise(long address, long bytes, int advice) {
      try {
        int unused = (int) MADVISE.invokeExact(address, bytes, advice); // advice may be refused
      } catch (Throwable e) {
        throw new IllegalStateException(e);
      }
    }

    /** Returns 0, or the reason as the C library numbers it. */
    static int lock(MemorySegment memory) {
      try (Arena arena = Arena.ofConfined()) {
        MemorySegment state = arena.allocate(STATE);
        int status = (int) MLOCK.invokeExact(state, memory, memory.byteSize());
        return status == 0 ? 0 : state.get(JAVA_INT, ERRNO);
      } catch (RuntimeException | Error e) {
        throw e;
      } catch (Throwable e) {
        throw new IllegalStateException(e);
      }
    }
  }

  @Override
  public boolean isAvailable() {
    if (!System.getProperty("os.name").toLowerCase(Locale.ROOT).startsWith("linux")) {
      return false;
    }
    try {
      return Calls.PAGE > 0;
    } catch (LinkageError | IllegalCallerException e) {
      return false; // native access is denied
    }
  }

  @Override
  @SuppressWarnings("restricted")
  public MemorySegment allocate(long bytes, Arena arena) throws IOException {
    long whole = (bytes + HUGE - 1) / HUGE * HUGE;
    MemorySegment reserved = Calls.map(whole, PRIVATE_ANONYMOUS | HUGETLB);
    if (reserved.address() != -1) {
      return held(reserved, 0, whole, bytes, arena);
    }
    // one huge page more, so that the table can begin at one
    MemorySegment map = Calls.map(whole + HUGE, PRIVATE_ANONYMOUS);
    if (map.address() == -1) {
      throw new IOException(
          "the system gives no "
              + bytes
              + " bytes of memory; address space limit: "
              + limit("Max address space"));
    }
    long shift = (HUGE - map.address() % HUGE) % HUGE;
    Calls.advise(map.address() + shift, whole, HUGE_PAGE);
    return held(map, shift, whole + HUGE, bytes, arena);
  }

  @SuppressWarnings("restricted")
  private static MemorySegment held(
      MemorySegment map, long shift, long whole, long bytes, Arena arena) {
    return MemorySegment.ofAddress(map.address() + shift)
        .reinterpret(bytes, arena, unused -> Calls.unmap(map, whole));
  }

  /** Told from what the system says of the mapping. */
  @Override
  public String pages(MemorySegment memory) {
    long huge = 0;
    boolean inside = false;
    try {
      for (String line : Files.readAllLines(Path.of("/proc/self/smaps"))) {
        if (line.matches("[0-9a-f]+-[0-9a-f]+ .*")) {
          String[] ends = line.substring(0, line.indexOf(' ')).split("-", 2);
          long start = Long.parseUnsignedLong(ends[0], 16);
          long end = Long.parseUnsignedLong(ends[1], 16);
          inside = start < memory.address() + memory.byteSize() && end > memory.address();
        } else if (inside
            && (line.startsWith("AnonHugePages:") || line.startsWith("Private_Hugetlb:"))) {
          huge += 1024 * Long.parseLong(line.replaceAll("[^0-9]", ""));
        }
      }
    } catch (IOException | NumberFormatException e) {
      return "pages of unknown size";
    }
    long percent = Math.min(100, huge * 100 / Math.max(1, memory.byteSize()));
    return percent == 0 ? "ordinary pages" : percent + " % in huge pages";
  }

  @Override
  public void lock(MemorySegment memory) throws IOException {
    int errno = Calls.lock(memory);
    if (errno != 0) {
      throw new IOException(
          "cannot lock "
              + memory.byteSize()
              + " bytes of memory (errno "
              + errno
              + "); the limit is "
              + limit("Max locked memory")
              + " bytes: raise it, for example with ulimit -l");
    }
  }

  private static String limit(String name) {
    try {
      for (String line : Files.readAllLines(Path.of("/proc/self/limits"))) {
        if (line.startsWith(name)) {
          return line.substring(name.length()).strip().split("\\s+", 2)[0];
        }
      }
    } catch (IOException e) {
      return "unknown";
    }
    return "unknown";
  }

  @Override
  public void random(MemorySegment mapping) {
    advise(mapping, 0, mapping.byteSize(), RANDOM);
  }

  @Override
  public void willNeed(MemorySegment mapping, long offset, long bytes) {
    advise(mapping, offset, bytes, WILL_NEED);
  }

  private static void advise(MemorySegment mapping, long offset, long bytes, int advice) {
    if (!mapping.isNative()) {
      return;
    }
    long start = (mapping.address() + offset) & -Calls.PAGE;
    Calls.advise(start, mapping.address() + offset + bytes - start, advice);
  }
}
