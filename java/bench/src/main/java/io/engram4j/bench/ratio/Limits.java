package io.engram4j.bench.ratio;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.engram4j.work.Failures;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.nio.file.Path;

/** The C functions of native/bench/limits.c, and a sink that keeps their results alive. */
@SuppressWarnings("restricted")
final class Limits {
  private static final SymbolLookup LIBRARY =
      SymbolLookup.libraryLookup(
          Path.of(System.getProperty("engram.bench.limits")), Arena.global());
  private static final MethodHandle PAGES = of("pages", ADDRESS, JAVA_LONG, JAVA_INT);
  private static final MethodHandle FREE = of("free", null, ADDRESS, JAVA_LONG);
  private static final MethodHandle FILL =
      of("fill", null, ADDRESS, JAVA_LONG, JAVA_INT, JAVA_LONG);
  private static final MethodHandle TOUCH =
      of("touch", JAVA_LONG, ADDRESS, JAVA_INT, ADDRESS, JAVA_LONG);
  private static final MethodHandle DIVIDE =
      of("divide", null, ADDRESS, ADDRESS, ADDRESS, ADDRESS, JAVA_LONG, ADDRESS);
  private static final MethodHandle READ = of("read", JAVA_LONG, ADDRESS, JAVA_LONG);
  private static final MethodHandle COPY = of("copy", null, ADDRESS, ADDRESS, JAVA_LONG);
  private static final MethodHandle NOTHING =
      of("nothing", JAVA_INT, ADDRESS, ADDRESS, JAVA_LONG, ADDRESS, ADDRESS, JAVA_INT);

  /** What was read: written so that nothing is optimised away. */
  static volatile long sink;

  private Limits() {}

  private static MethodHandle of(
      String name,
      @org.jspecify.annotations.Nullable MemoryLayout result,
      MemoryLayout... arguments) {
    MemorySegment function = LIBRARY.findOrThrow("limit_" + name);
    FunctionDescriptor type =
        result == null
            ? FunctionDescriptor.ofVoid(arguments)
            : FunctionDescriptor.of(result, arguments);
    return Linker.nativeLinker().downcallHandle(function, type);
  }

  /** Anonymous memory; freed by {@link #free}. */
  static MemorySegment pages(long bytes, boolean huge) {
    try {
      MemorySegment memory = (MemorySegment) PAGES.invokeExact(bytes, huge ? 1 : 0);
      if (memory.address() == 0) {
        throw new OutOfMemoryError(bytes + " bytes for the benchmark's table");
      }
      return memory.reinterpret(bytes);
    } catch (Throwable e) {
      throw Failures.unchecked(e);
    }
  }

  static void free(MemorySegment memory) {
    try {
      FREE.invokeExact(memory, memory.byteSize());
    } catch (Throwable e) {
      throw Failures.unchecked(e);
    }
  }

  static void fill(MemorySegment data, long rows, int headDim, long seed) {
    try {
      FILL.invokeExact(data, rows, headDim, seed);
    } catch (Throwable e) {
      throw Failures.unchecked(e);
    }
  }

  static void touch(MemorySegment table, int rowBytes, MemorySegment ids, long count) {
    try {
      sink = (long) TOUCH.invokeExact(table, rowBytes, ids, count);
    } catch (Throwable e) {
      throw Failures.unchecked(e);
    }
  }

  static void divide(MemorySegment windows, Shapes.Numbers of, long tokens, MemorySegment ids) {
    try {
      DIVIDE.invokeExact(windows, of.multipliers(), of.primes(), of.offsets(), tokens, ids);
    } catch (Throwable e) {
      throw Failures.unchecked(e);
    }
  }

  static void read(MemorySegment data) {
    try {
      sink = (long) READ.invokeExact(data, data.byteSize());
    } catch (Throwable e) {
      throw Failures.unchecked(e);
    }
  }

  static void copy(MemorySegment to, MemorySegment from, long bytes) {
    try {
      COPY.invokeExact(to, from, bytes);
    } catch (Throwable e) {
      throw Failures.unchecked(e);
    }
  }

  static int nothing(MemorySegment a, long c, MemorySegment b) {
    try {
      return (int) NOTHING.invokeExact(a, a, c, b, b, 0);
    } catch (Throwable e) {
      throw Failures.unchecked(e);
    }
  }
}
