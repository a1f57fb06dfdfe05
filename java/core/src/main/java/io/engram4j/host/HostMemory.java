package io.engram4j.host;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** Large memory, as the operating system gives it. Thread-safe. */
public interface HostMemory {
  /**
   * Allocates zeroed memory, in huge pages where there are any.
   *
   * @throws IOException if there is not so much; the message names the number and the limit
   */
  MemorySegment allocate(long bytes, Arena arena) throws IOException;

  /**
   * Returns how many bytes of memory from {@link #allocate} are in huge pages, now that it is
   * filled, -1 if the system does not tell.
   */
  long hugePageBytes(MemorySegment memory);

  /**
   * Locks memory, so that it is never swapped out.
   *
   * @throws IOException if that is not allowed; the message names the limit
   */
  void lock(MemorySegment memory) throws IOException;
}
