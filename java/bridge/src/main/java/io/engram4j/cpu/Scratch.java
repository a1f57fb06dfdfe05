package io.engram4j.cpu;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;

/**
 * Memory that calls of a kernel take for their time: as many pieces as calls were ever under way at
 * once, which live as long as the kernel. Thread-safe.
 */
final class Scratch {
  private final Arena arena;
  private final long bytes;
  private final ArrayDeque<MemorySegment> free = new ArrayDeque<>();

  /**
   * None is taken yet.
   *
   * @param bytes of a piece; 0 if calls take none
   */
  Scratch(Arena arena, long bytes) {
    this.arena = arena;
    this.bytes = bytes;
  }

  long bytes() {
    return bytes;
  }

  /** Returns a piece, to be given back, or NULL if calls take none. */
  MemorySegment take() {
    if (bytes == 0) {
      return MemorySegment.NULL;
    }
    synchronized (this) {
      MemorySegment piece = free.poll();
      return piece != null ? piece : arena.allocate(bytes, 64);
    }
  }

  void give(MemorySegment piece) {
    if (bytes > 0) {
      synchronized (this) {
        free.push(piece);
      }
    }
  }
}
