package io.engram4j.cuda;

import io.engram4j.bindings.cuda.EngramCuda;
import java.lang.foreign.MemorySegment;
import java.util.HashMap;
import java.util.Map;

/**
 * Pages of the host that are registered with CUDA, for all devices at once. Several models on one
 * or more devices can read the same tables, but CUDA registers a page only once in a process.
 */
final class Registrations {
  private static final Map<Pages, Integer> USERS = new HashMap<>();

  /** Where pages begin, and their bytes. */
  private record Pages(long address, long size) {}

  private Registrations() {}

  /** Registers pages, or joins those who have; returns where a device reads them. */
  static synchronized MemorySegment take(int device, long address, long size, boolean readOnly) {
    MemorySegment host = MemorySegment.ofAddress(address);
    Pages pages = new Pages(address, size);
    MemorySegment seen =
        USERS.containsKey(pages)
            ? CudaLibrary.make(
                "engram_cuda_registered",
                place -> EngramCuda.engram_cuda_registered(device, host, place))
            : CudaLibrary.make(
                "engram_cuda_register",
                place ->
                    EngramCuda.engram_cuda_register(device, host, size, readOnly ? 1 : 0, place));
    USERS.merge(pages, 1, Integer::sum);
    return seen;
  }

  /** Unregisters pages when their last user has gone. */
  static synchronized void release(int device, long address, long size) {
    Pages pages = new Pages(address, size);
    int left = USERS.getOrDefault(pages, 1) - 1;
    if (left > 0) {
      USERS.put(pages, left);
      return;
    }
    USERS.remove(pages); // whatever CUDA says: it is tried once more when the model is closed again
    CudaLibrary.check(
        "engram_cuda_unregister",
        EngramCuda.engram_cuda_unregister(device, MemorySegment.ofAddress(address), size));
  }
}
