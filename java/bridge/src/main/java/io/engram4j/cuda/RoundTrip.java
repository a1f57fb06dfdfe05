package io.engram4j.cuda;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;

/**
 * Memory through which one call of a backend's kernel takes the host's data to the device and back,
 * with a stream of its own. Grows to the largest call and is used again. For one thread at a time.
 */
final class RoundTrip implements AutoCloseable {
  private final int device;
  private final CudaStream stream;
  private final List<Slot> slots = new ArrayList<>();
  private final List<Return> returns = new ArrayList<>();
  private int used;

  private record Slot(DeviceMemory memory, long bytes, MemorySegment host, MemorySegment device) {}

  /** What comes back through a slot, and how it gets from there to where it belongs. */
  private record Return(Slot slot, long bytes, Runnable land) {}

  RoundTrip(int device) {
    this.device = device;
    this.stream = CudaStream.create(device);
  }

  CudaStream stream() {
    return stream;
  }

  private Slot slot(long bytes) {
    if (used == slots.size() || slots.get(used).bytes() < bytes) {
      Slot made = newSlot(Math.max(4096, Long.highestOneBit(Math.max(1, bytes - 1)) * 2));
      if (used == slots.size()) {
        slots.add(made);
      } else {
        slots.set(used, made).memory().close(); // what it was used for is over
      }
    }
    return slots.get(used++);
  }

  private Slot newSlot(long size) {
    DeviceMemory memory = new DeviceMemory(device);
    try {
      return new Slot(memory, size, memory.pinned(size), memory.allocate(size));
    } catch (CudaException e) {
      try {
        memory.close();
      } catch (CudaException second) {
        e.addSuppressed(second);
      }
      throw e;
    }
  }

  /** Sends data and returns where it will be. */
  MemorySegment send(MemorySegment data, long bytes) {
    Slot slot = slot(bytes);
    MemorySegment.copy(data, 0, slot.host(), 0, bytes);
    stream.copy(slot.device(), slot.host(), bytes);
    return slot.device();
  }

  /** Returns room for a result, which comes back to where it belongs. */
  MemorySegment receive(MemorySegment result, long bytes) {
    return receive(bytes, host -> MemorySegment.copy(host, 0, result, 0, bytes));
  }

  /** Returns room for a result; when it is back, it is handed over to be put where it belongs. */
  MemorySegment receive(long bytes, Consumer<MemorySegment> land) {
    Slot slot = slot(bytes);
    returns.add(new Return(slot, bytes, () -> land.accept(slot.host())));
    return slot.device();
  }

  /** Sends data that comes back changed, in pieces that something else may lie between. */
  MemorySegment exchange(MemorySegment data, long bytes, Pieces pieces) {
    Slot slot = slot(bytes);
    MemorySegment.copy(data, 0, slot.host(), 0, bytes);
    stream.copy(slot.device(), slot.host(), bytes);
    Piece back = (at, length) -> MemorySegment.copy(slot.host(), at, data, at, length);
    returns.add(new Return(slot, bytes, () -> pieces.forEach(back)));
    return slot.device();
  }

  /** The parts of some data that a kernel writes. */
  @FunctionalInterface
  interface Pieces {
    void forEach(Piece piece);
  }

  /** Takes one of them. */
  @FunctionalInterface
  interface Piece {
    void take(long at, long length);
  }

  /** Waits for the results and puts them where they belong. */
  void finish() {
    try {
      returns.forEach(back -> stream.copy(back.slot().host(), back.slot().device(), back.bytes()));
      stream.synchronize();
      returns.forEach(back -> back.land().run());
    } finally {
      reset();
    }
  }

  /** Forgets what a call had begun. */
  void reset() {
    returns.clear();
    used = 0;
  }

  /** Frees all when what is queued is done; goes on after an error, and throws the first. */
  @Override
  public void close() {
    List<Runnable> ends = new ArrayList<>();
    ends.add(stream::synchronize);
    slots.forEach(slot -> ends.add(slot.memory()::close));
    ends.add(stream::close);
    DeviceMemory.each(ends);
  }
}
