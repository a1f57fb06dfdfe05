package io.engram4j.cuda;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * The kernels compiled for the CPU in place of a device; its streams are lazy, so that a wait which
 * is missing shows. See native/cuda/shim.
 */
@SuppressWarnings("restricted")
public final class Shim {
  /** What is counted, as in shim.h. */
  enum Count {
    LAUNCH(0),
    WAIT(1),
    ALLOCATION(2),
    EVENTS(3),
    OTHER(4),
    STREAMS(100),
    DEVICE_ALLOCATIONS(101),
    HOST_ALLOCATIONS(102),
    REGISTRATIONS(103);

    private final int code;

    Count(int code) {
      this.code = code;
    }
  }

  private static final MethodHandle COUNT;
  private static final MethodHandle FAIL;
  private static final MethodHandle RESET;

  static {
    Path library = Path.of("target/cmake/native/cuda/libengram_cuda_shim.so").toAbsolutePath();
    assertTrue(Files.exists(library), library + " is not there: is there a C++ compiler?");
    System.setProperty("engram.cuda.path", library.toString());
    CudaDevice.all(); // loads it
    Linker linker = Linker.nativeLinker();
    SymbolLookup symbols = SymbolLookup.loaderLookup();
    COUNT =
        linker.downcallHandle(
            symbols.findOrThrow("engram_cuda_shim_count"),
            FunctionDescriptor.of(ValueLayout.JAVA_LONG, ValueLayout.JAVA_INT));
    FAIL =
        linker.downcallHandle(
            symbols.findOrThrow("engram_cuda_shim_fail"),
            FunctionDescriptor.ofVoid(
                ValueLayout.JAVA_LONG, ValueLayout.JAVA_INT, ValueLayout.JAVA_INT));
    RESET =
        linker.downcallHandle(
            symbols.findOrThrow("engram_cuda_shim_reset"), FunctionDescriptor.ofVoid());
  }

  private Shim() {}

  /** Makes the shim the library of this JVM. */
  public static void use() {
    assertTrue(count(Count.WAIT) >= 0);
  }

  static long count(Count what) {
    try {
      return (long) COUNT.invokeExact(what.code);
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
  }

  /** Lets CUDA's functions fail, once or from then on, after so many more that succeed. */
  static void fail(long after, int error, boolean fromThenOn) {
    try {
      FAIL.invokeExact(after, error, fromThenOn ? 1 : 0);
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
  }

  /** Forgets all that is held, as a process that ends does. */
  static void reset() {
    try {
      RESET.invokeExact();
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
  }

  static void recover() {
    fail(-1, 0, false);
  }
}
