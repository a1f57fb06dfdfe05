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
   * @param bytes of a piece; 0 if no call takes one
   */
  Scratch(Arena arena, long bytes) {
    this.arena = arena;
    this.bytes = bytes;
  }

  long bytes() {
    return bytes;
  }

  /** Returns a piece, to be given back. */
  synchronized MemorySegment take() {
    MemorySegment piece = free.poll();
    return piece != null ? piece : arena.allocate(bytes, 64);
  }

  synchronized void give(MemorySegment piece) {
    free.push(piece);
  }
}
