package io.engram4j.natives.linux_x86_64;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.lang.invoke.MethodHandle;

/**
 * Buffers that begin right behind or end right before a page that cannot be touched, in turns: a
 * kernel that reads or writes one byte too far ends the process.
 */
@SuppressWarnings("restricted")
public final class GuardedMemory implements SegmentAllocator {
  private static final long PAGE = 4096;
  private static final int NONE = 0;
  private static final int READ_WRITE = 3;
  private static final int PRIVATE_ANONYMOUS = 0x22;

  private static final MethodHandle MMAP =
      handle(
          "mmap",
          FunctionDescriptor.of(
              ADDRESS, ADDRESS, JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_LONG));
  private static final MethodHandle MPROTECT =
      handle("mprotect", FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_LONG, JAVA_INT));
  private static final MethodHandle MUNMAP =
      handle("munmap", FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_LONG));

  private final Arena arena;
  private boolean behind;

  public GuardedMemory(Arena arena) {
    this.arena = arena;
  }

  private static MethodHandle handle(String name, FunctionDescriptor descriptor) {
    Linker linker = Linker.nativeLinker();
    return linker.downcallHandle(linker.defaultLookup().findOrThrow(name), descriptor);
  }

  @Override
  public MemorySegment allocate(long bytes, long alignment) {
    long inner = Math.max(PAGE, (bytes + PAGE - 1) / PAGE * PAGE);
    long whole = inner + 2 * PAGE;
    try {
      MemorySegment map =
          (MemorySegment)
              MMAP.invokeExact(MemorySegment.NULL, whole, NONE, PRIVATE_ANONYMOUS, -1, 0L);
      MemorySegment usable = MemorySegment.ofAddress(map.address() + PAGE);
      if (map.address() == -1 || (int) MPROTECT.invokeExact(usable, inner, READ_WRITE) != 0) {
        throw new OutOfMemoryError("mmap of " + whole + " bytes");
      }
      behind = !behind;
      long start = usable.address() + (behind ? 0 : inner - bytes);
      MemorySegment base = map;
      return MemorySegment.ofAddress(start).reinterpret(bytes, arena, s -> unmap(base, whole));
    } catch (Error | RuntimeException e) {
      throw e;
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
  }

  private static void unmap(MemorySegment map, long bytes) {
    try {
      if ((int) MUNMAP.invokeExact(map, bytes) != 0) {
        throw new IllegalStateException("munmap");
      }
    } catch (Error | RuntimeException e) {
      throw e;
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
  }
}
