package io.engram4j.cuda;

import io.engram4j.bindings.cuda.EngramCuda;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.Map;

/**
 * Memory, streams and events of a device that live together and are freed together, the last first.
 * Addresses of the device's memory are segments of no length, so that Java cannot touch them.
 * Thread-safe.
 */
final class DeviceMemory implements AutoCloseable {
  private final int device;
  private final Deque<Runnable> held = new ArrayDeque<>();
  private final Map<Long, Runnable> registered = new HashMap<>(); // by the host's address
  private final Arena structs = Arena.ofShared();
  private long bytes;

  DeviceMemory(int device) {
    this.device = device;
  }

  int device() {
    return device;
  }

  /** Returns memory of the host for structs of calls; it ends with this. */
  Arena structs() {
    return structs;
  }

  /** Runs something when an arena is closed. */
  @SuppressWarnings("restricted")
  static void atEnd(Arena arena, Runnable end) {
    MemorySegment unused = MemorySegment.ofAddress(1).reinterpret(1, arena, segment -> end.run());
    if (unused.byteSize() != 1) {
      throw new AssertionError();
    }
  }

  /** Returns how many bytes of the device's memory are held. */
  synchronized long bytes() {
    return bytes;
  }

  private synchronized void hold(Runnable free) {
    held.push(free);
  }

  /** Allocates memory of the device, of at least one byte. */
  synchronized MemorySegment allocate(long size) {
    long wanted = Math.max(1, size);
    MemorySegment made =
        CudaLibrary.make(
            "engram_cuda_allocate",
            place -> EngramCuda.engram_cuda_allocate(device, wanted, place));
    bytes += wanted;
    hold(() -> CudaLibrary.check("engram_cuda_free", EngramCuda.engram_cuda_free(device, made)));
    return made;
  }

  /** Allocates memory of the host that the device copies from and to by itself. */
  MemorySegment pinned(long size) {
    long wanted = Math.max(1, size);
    MemorySegment made =
        CudaLibrary.make(
            "engram_cuda_allocate_host",
            place -> EngramCuda.engram_cuda_allocate_host(device, wanted, place));
    hold(() ->
        CudaLibrary.check("engram_cuda_free_host", EngramCuda.engram_cuda_free_host(device, made)));
    return reach(made, wanted);
  }

  @SuppressWarnings("restricted")
  private static MemorySegment reach(MemorySegment address, long size) {
    return address.reinterpret(size);
  }

  /** Copies something that is not to change to the device, and waits until it is there. */
  MemorySegment upload(MemorySegment from) {
    MemorySegment to = allocate(from.byteSize());
    try (Arena arena = Arena.ofConfined();
        CudaStream stream = CudaStream.create(device)) {
      boolean addressed = from.isNative();
      MemorySegment source =
          addressed ? from : arena.allocate(Math.max(1, from.byteSize()), 16).copyFrom(from);
      stream.copy(to, source, from.byteSize());
      stream.synchronize();
    }
    return to;
  }

  /** Makes an event. */
  MemorySegment event() {
    MemorySegment made =
        CudaLibrary.make(
            "engram_cuda_event_create",
            place -> EngramCuda.engram_cuda_event_create(device, place));
    hold(() ->
        CudaLibrary.check(
            "engram_cuda_event_destroy", EngramCuda.engram_cuda_event_destroy(device, made)));
    return made;
  }

  /** Makes a stream for work beside a model's. */
  CudaStream stream(int mostBlocks) {
    CudaStream made = CudaStream.create(device, mostBlocks);
    hold(made::close);
    return made;
  }

  /**
   * Makes memory of the host readable by the device, under the address that is returned. Pages that
   * another model has registered, on whichever device, are shared with it.
   *
   * @throws CudaException with the reason if the system refuses
   */
  synchronized MemorySegment register(long address, long size, boolean readOnly) {
    MemorySegment made = Registrations.take(device, address, size, readOnly);
    Runnable end = () -> Registrations.release(device, address, size);
    registered.put(address, end);
    hold(end);
    return made;
  }

  /** Lets go what was registered under the host's address. */
  synchronized void unregister(long address) {
    Runnable end = registered.remove(address);
    if (end != null && held.remove(end)) {
      end.run();
    }
  }

  /** Does all of it, also after an error, and throws the first. */
  static void each(Iterable<Runnable> ends) {
    CudaException first = null;
    for (Runnable end : ends) {
      try {
        end.run();
      } catch (CudaException e) {
        first = first == null ? e : first;
      }
    }
    if (first != null) {
      throw first;
    }
  }

  /**
   * Frees all, which must not be in use any more; goes on after an error, such as of a lost device,
   * and throws the first. What could not be freed is tried again when it is closed again.
   */
  @Override
  public synchronized void close() {
    CudaException first = null;
    Deque<Runnable> left = new ArrayDeque<>();
    while (!held.isEmpty()) {
      Runnable free = held.pop();
      try {
        free.run();
      } catch (CudaException e) {
        first = first == null ? e : first;
        left.add(free);
      }
    }
    held.addAll(left);
    bytes = held.isEmpty() ? 0 : bytes;
    if (structs.scope().isAlive()) {
      structs.close();
    }
    if (first != null) {
      throw first;
    }
  }
}
