package io.engram4j.vector;

import io.engram4j.model.Dtype;
import io.engram4j.model.HiddenStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/**
 * The branches of a stream as floats off the heap: where they lie, or a copy. Streams of bf16 are
 * widened and streams on the heap copied, branch by branch, so that kernels have one shape of loop,
 * which the JIT compiles well every time. For one thread, and as long as the arena is open.
 */
final class VectorStream {
  private final HiddenStream hidden;
  private final int size;
  private final @Nullable MemorySegment floats;
  private final MemorySegment halves; // of a bf16 stream on the heap

  private VectorStream(
      HiddenStream hidden, int size, @Nullable MemorySegment floats, MemorySegment halves) {
    this.hidden = hidden;
    this.size = size;
    this.floats = floats;
    this.halves = halves;
  }

  /** Whether branches lie as floats off the heap, and nothing is copied. */
  static boolean isDirect(HiddenStream hidden) {
    return hidden.data().isNative() && hidden.dtype() == Dtype.F32;
  }

  /** A stream that {@link #isDirect}. */
  static VectorStream direct(HiddenStream hidden, int size) {
    return new VectorStream(hidden, size, null, MemorySegment.NULL);
  }

  /** Any other stream. */
  static VectorStream copied(HiddenStream hidden, int size, Arena arena) {
    return new VectorStream(
        hidden, size, arena.allocate(4L * size, 64), arena.allocate(2L * size, 64));
  }

  /** The memory of the branch that was {@link #take taken}. */
  MemorySegment floats() {
    return floats == null ? hidden.data() : floats;
  }

  /** Takes the branch at a byte of the stream; returns the byte of its floats. */
  long take(long at) {
    if (floats == null) {
      return at;
    }
    MemorySegment data = hidden.data();
    if (hidden.dtype() == Dtype.F32) {
      MemorySegment.copy(data, at, floats, 0, 4L * size);
    } else if (data.isNative()) {
      VectorBfloat16.widen(data, at, floats, size);
    } else {
      MemorySegment.copy(data, at, halves, 0, 2L * size);
      VectorBfloat16.widen(halves, 0, floats, size);
    }
    return 0;
  }

  /** Writes the branch that was taken back to its byte of the stream. */
  void give(long at) {
    if (floats == null) {
      return;
    }
    MemorySegment data = hidden.data();
    if (hidden.dtype() == Dtype.F32) {
      MemorySegment.copy(floats, 0, data, at, 4L * size);
    } else if (data.isNative()) {
      VectorBfloat16.narrow(floats, data, at, size);
    } else {
      VectorBfloat16.narrow(floats, halves, 0, size);
      MemorySegment.copy(halves, 0, data, at, 2L * size);
    }
  }
}
