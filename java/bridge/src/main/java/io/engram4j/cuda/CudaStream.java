package io.engram4j.cuda;

import io.engram4j.bindings.cuda.EngramCuda;
import io.engram4j.bindings.cuda.engram_cuda_queue;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Where work for a device is queued: a stream of its own, or one that belongs to an engine. Work on
 * one stream runs in its order. For one thread at a time.
 */
public final class CudaStream implements AutoCloseable {
  private final int device;
  private final MemorySegment handle;
  private final Arena arena = Arena.ofShared(); // of the struct that every call takes
  private final MemorySegment queue;
  private final boolean owned;
  private volatile boolean closed;

  private CudaStream(int device, MemorySegment handle, boolean owned, int mostBlocks) {
    this.device = device;
    this.handle = handle;
    this.owned = owned;
    this.queue = engram_cuda_queue.allocate(arena);
    engram_cuda_queue.struct_size(queue, (int) engram_cuda_queue.sizeof());
    engram_cuda_queue.device(queue, device);
    engram_cuda_queue.stream(queue, handle);
    engram_cuda_queue.most_blocks(queue, mostBlocks);
  }

  /**
   * Takes an engine's stream; it stays the engine's.
   *
   * @param device the number of its device
   * @param handle a {@code cudaStream_t} or {@code CUstream} as an address; null, the default
   *     stream
   */
  public static CudaStream of(int device, MemorySegment handle) {
    return new CudaStream(device, handle, false, 0);
  }

  /** Makes a stream that waits for no other; closing it frees it. */
  public static CudaStream create(int device) {
    return create(device, 0);
  }

  /**
   * Makes a stream for work beside a model's.
   *
   * @param mostBlocks of a kernel, or 0 for all it takes
   */
  static CudaStream create(int device, int mostBlocks) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment made = arena.allocate(ValueLayout.ADDRESS);
      CudaLibrary.check(
          "engram_cuda_stream_create", EngramCuda.engram_cuda_stream_create(device, made));
      return new CudaStream(device, made.get(ValueLayout.ADDRESS, 0), true, mostBlocks);
    }
  }

  /** Returns the number of its device. */
  public int device() {
    return device;
  }

  /**
   * Returns the {@code cudaStream_t} as an address.
   *
   * @throws IllegalStateException if the stream is closed
   */
  public MemorySegment handle() {
    queue();
    return handle;
  }

  /** The struct that every call takes. */
  MemorySegment queue() {
    if (closed) {
      throw new IllegalStateException("the stream is closed");
    }
    return queue;
  }

  /**
   * Waits until all of its work is done.
   *
   * @throws CudaException if some of it failed
   */
  public void synchronize() {
    CudaLibrary.check(
        "engram_cuda_synchronize", EngramCuda.engram_cuda_synchronize(device, handle()));
  }

  /** Queues a copy between any two places that the device can reach. */
  void copy(MemorySegment to, MemorySegment from, long bytes) {
    CudaLibrary.check("engram_cuda_copy", EngramCuda.engram_cuda_copy(queue(), to, from, bytes));
  }

  void fill(MemorySegment to, int value, long bytes) {
    CudaLibrary.check("engram_cuda_fill", EngramCuda.engram_cuda_fill(queue(), to, value, bytes));
  }

  /** Marks what was queued until now. */
  void record(MemorySegment event) {
    CudaLibrary.check(
        "engram_cuda_event_record", EngramCuda.engram_cuda_event_record(queue(), event));
  }

  /** Lets what is queued from now on wait for an event, as it was recorded last. */
  void await(MemorySegment event) {
    CudaLibrary.check("engram_cuda_event_wait", EngramCuda.engram_cuda_event_wait(queue(), event));
  }

  /** Frees a stream that was made here, when its work is done; an engine's goes on without this. */
  @Override
  public void close() {
    if (closed) {
      return;
    }
    closed = true;
    arena.close();
    if (owned) {
      CudaLibrary.check(
          "engram_cuda_stream_destroy", EngramCuda.engram_cuda_stream_destroy(device, handle));
    }
  }
}
