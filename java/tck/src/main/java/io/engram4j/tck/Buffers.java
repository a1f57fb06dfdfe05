package io.engram4j.tck;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * Memory for one case: on or off the heap, at any alignment, with a rim of known bytes around every
 * buffer that shows whether a kernel wrote beyond it, or from the caller's own allocator.
 */
final class Buffers implements AutoCloseable {
  private static final int RIM = 64;
  private static final byte MARK = (byte) 0xA5;

  private final Arena arena = Arena.ofConfined();
  private final SplittableRandom random;
  private final List<MemorySegment> whole = new ArrayList<>();
  private final List<MemorySegment> inner = new ArrayList<>();

  private final @Nullable SegmentAllocator own;

  Buffers(SplittableRandom random, @Nullable Function<Arena, SegmentAllocator> memory) {
    this.random = random;
    this.own = memory == null ? null : memory.apply(arena);
  }

  /** Returns a buffer of so many bytes, full of junk. */
  MemorySegment allocate(long bytes) {
    if (own != null && random.nextInt(3) > 0) {
      return own.allocate(bytes, 1).fill(MARK);
    }
    int shift = random.nextInt(4) == 0 ? random.nextInt(1, 64) : 0;
    long size = RIM + shift + bytes + RIM;
    MemorySegment all =
        random.nextBoolean()
            ? arena.allocate(size, 64)
            : MemorySegment.ofArray(new byte[Math.toIntExact(size)]);
    all.fill(MARK);
    MemorySegment data = all.asSlice(RIM + shift, bytes);
    whole.add(all);
    inner.add(data);
    return data;
  }

  /** Returns the arena of the case, for the kernels that it makes. */
  Arena arena() {
    return arena;
  }

  /** Returns a buffer with the same content as another, placed anew. */
  MemorySegment copy(MemorySegment source) {
    return allocate(source.byteSize()).copyFrom(source);
  }

  /** Returns whether all rims are as they were. */
  boolean intact() {
    for (int i = 0; i < whole.size(); i++) {
      MemorySegment all = whole.get(i);
      long from = inner.get(i).address() - all.address();
      long to = from + inner.get(i).byteSize();
      for (long at = 0; at < all.byteSize(); at++) {
        if ((at < from || at >= to) && all.get(JAVA_BYTE, at) != MARK) {
          return false;
        }
      }
    }
    return true;
  }

  @Override
  public void close() {
    arena.close();
  }
}
