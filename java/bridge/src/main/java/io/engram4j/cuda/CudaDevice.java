package io.engram4j.cuda;

import io.engram4j.bindings.cuda.EngramCuda;
import io.engram4j.bindings.cuda.engram_cuda_device;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.stream.IntStream;

/**
 * A GPU.
 *
 * @param index its number, from 0
 * @param name such as {@code NVIDIA H200}
 * @param computeCapability such as {@code 9.0}
 * @param processors streaming multiprocessors
 * @param bytes of memory
 * @param driver the CUDA version of the driver, such as 13000
 */
public record CudaDevice(
    int index, String name, String computeCapability, int processors, long bytes, int driver) {
  /**
   * Returns the GPUs of this machine.
   *
   * @throws IllegalStateException with the reason if there is no library, driver or device
   */
  public static List<CudaDevice> all() {
    return IntStream.range(0, CudaLibrary.devices()).mapToObj(CudaDevice::of).toList();
  }

  /**
   * Returns one of the GPUs.
   *
   * @throws IllegalStateException with the reason if there is no library, driver or device
   * @throws IllegalArgumentException if there is none of that number
   */
  public static CudaDevice of(int index) {
    int devices = CudaLibrary.devices();
    if (index < 0 || index >= devices) {
      throw new IllegalArgumentException(
          "there is no device " + index + "; there are " + devices + ", from 0");
    }
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment about = engram_cuda_device.allocate(arena);
      engram_cuda_device.struct_size(about, (int) engram_cuda_device.sizeof());
      CudaLibrary.check("engram_cuda_describe", EngramCuda.engram_cuda_describe(index, about));
      return new CudaDevice(
          index,
          engram_cuda_device.name(about).getString(0),
          engram_cuda_device.major(about) + "." + engram_cuda_device.minor(about),
          engram_cuda_device.processors(about),
          engram_cuda_device.memory(about),
          engram_cuda_device.driver(about));
    }
  }

  /** Returns how many bytes of its memory are free just now. */
  public long freeBytes() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment bytes = arena.allocate(ValueLayout.JAVA_LONG);
      CudaLibrary.check(
          "engram_cuda_free_memory", EngramCuda.engram_cuda_free_memory(index, bytes));
      return bytes.get(ValueLayout.JAVA_LONG, 0);
    }
  }
}
