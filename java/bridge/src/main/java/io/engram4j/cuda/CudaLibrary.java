package io.engram4j.cuda;

import io.engram4j.bindings.cuda.EngramCuda;
import io.engram4j.bridge.NativeLibrary;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.jspecify.annotations.Nullable;

/** The library, whether it is there and finds a device, and what its status codes become. */
final class CudaLibrary {
  private static final NativeLibrary LIBRARY =
      new NativeLibrary(
          "engram_cuda",
          "engram.cuda.path",
          EngramCuda::engram_cuda_abi,
          EngramCuda::ENGRAM_CUDA_ABI,
          CudaLibrary::bindAll);

  private CudaLibrary() {}

  /** Binds every function now, so that a missing one shows when the library is loaded. */
  private static void bindAll() {
    EngramCuda.engram_cuda_status_text$handle();
    EngramCuda.engram_cuda_detail$handle();
    EngramCuda.engram_cuda_devices$handle();
    EngramCuda.engram_cuda_describe$handle();
    EngramCuda.engram_cuda_free_memory$handle();
    EngramCuda.engram_cuda_allocate$handle();
    EngramCuda.engram_cuda_free$handle();
    EngramCuda.engram_cuda_allocate_host$handle();
    EngramCuda.engram_cuda_free_host$handle();
    EngramCuda.engram_cuda_register$handle();
    EngramCuda.engram_cuda_unregister$handle();
    EngramCuda.engram_cuda_registered$handle();
    EngramCuda.engram_cuda_stream_create$handle();
    EngramCuda.engram_cuda_stream_destroy$handle();
    EngramCuda.engram_cuda_synchronize$handle();
    EngramCuda.engram_cuda_event_create$handle();
    EngramCuda.engram_cuda_event_destroy$handle();
    EngramCuda.engram_cuda_event_record$handle();
    EngramCuda.engram_cuda_event_wait$handle();
    EngramCuda.engram_cuda_event_synchronize$handle();
    EngramCuda.engram_cuda_copy$handle();
    EngramCuda.engram_cuda_fill$handle();
    EngramCuda.engram_cuda_hash$handle();
    EngramCuda.engram_cuda_gather$handle();
    EngramCuda.engram_cuda_copy_rows$handle();
    EngramCuda.engram_cuda_insert$handle();
    EngramCuda.engram_cuda_project$handle();
    EngramCuda.engram_cuda_gate$handle();
    EngramCuda.engram_cuda_conv$handle();
  }

  /** Returns why nothing can run here, or null if it can. */
  static @Nullable String problem() {
    String reason = LIBRARY.get().reason();
    if (reason != null) {
      return reason;
    }
    try (Arena arena = Arena.ofConfined()) {
      int status = EngramCuda.engram_cuda_devices(arena.allocate(ValueLayout.JAVA_INT));
      return status == 0 ? null : EngramCuda.engram_cuda_detail().getString(0);
    }
  }

  /** Returns the number of devices. */
  static int devices() {
    String problem = problem();
    if (problem != null) {
      throw new IllegalStateException("cuda: not available: " + problem);
    }
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment count = arena.allocate(ValueLayout.JAVA_INT);
      check("engram_cuda_devices", EngramCuda.engram_cuda_devices(count));
      return count.get(ValueLayout.JAVA_INT, 0);
    }
  }

  static String path() {
    return String.valueOf(LIBRARY.get().path());
  }

  static void check(String function, int status) {
    if (status != 0) {
      String text = EngramCuda.engram_cuda_status_text(status).getString(0);
      String detail = EngramCuda.engram_cuda_detail().getString(0);
      throw new CudaException(function, status, text + ": " + detail);
    }
  }

  /** Something of the C library that is made at an address and freed by it. */
  @FunctionalInterface
  interface Maker {
    int make(MemorySegment place);
  }

  /** Returns the address that a function of the library made. */
  static MemorySegment make(String function, Maker maker) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment place = arena.allocate(ValueLayout.ADDRESS);
      check(function, maker.make(place));
      return place.get(ValueLayout.ADDRESS, 0);
    }
  }
}
