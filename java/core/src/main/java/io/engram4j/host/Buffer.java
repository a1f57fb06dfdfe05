package io.engram4j.host;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/**
 * Off-heap memory that grows with what it must hold and then stays. Growing is all or nothing: if
 * there is no more memory the old stays. Freed by {@link #close}. One owner at a time.
 */
public final class Buffer implements AutoCloseable {
  private @Nullable Arena arena;
  private MemorySegment memory = MemorySegment.NULL;

  /** Returns the memory. */
  public MemorySegment get() {
    return memory;
  }

  /** Makes room for so many bytes, aligned to 64; what was there is lost if it must grow. */
  public MemorySegment reserve(long bytes) {
    if (bytes > memory.byteSize()) {
      grow(bytes, false);
    }
    return memory;
  }

  /** Makes room for so many bytes and keeps what was there; at least doubles if it must grow. */
  public MemorySegment extend(long bytes) {
    if (bytes > memory.byteSize()) {
      grow(Math.max(bytes, 2 * memory.byteSize()), true);
    }
    return memory;
  }

  private void grow(long bytes, boolean keep) {
    Arena larger = Arena.ofShared();
    MemorySegment made;
    try {
      made = larger.allocate(bytes, 64);
    } catch (Throwable e) {
      larger.close();
      throw e;
    }
    if (keep) {
      made.copyFrom(memory);
    }
    Arena old = arena;
    arena = larger; // before anything that could run out of stack
    memory = made;
    if (old != null) {
      old.close();
    }
  }

  /** Returns the bytes that are held. */
  public long bytes() {
    return memory.byteSize();
  }

  /** Frees the memory; the next use begins anew. */
  @Override
  public void close() {
    memory = MemorySegment.NULL;
    if (arena != null && arena.scope().isAlive()) {
      arena.close(); // if a call has it, closing again frees it
    }
    arena = null;
  }
}
