package io.engram4j.host;

import java.lang.foreign.MemorySegment;

/** Asks the system to fetch parts of a mapping from disk, without waiting for them. */
public interface ReadAhead {
  /** Begins to fetch a part of a mapping; allocates nothing. Thread-safe. */
  void willNeed(MemorySegment mapping, long offset, long bytes);
}
