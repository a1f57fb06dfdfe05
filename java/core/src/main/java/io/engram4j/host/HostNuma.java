package io.engram4j.host;

import java.io.IOException;
import java.lang.foreign.MemorySegment;

/** The NUMA nodes of a machine: which there are, which is near, where pages go. Thread-safe. */
public interface HostNuma {
  /** Returns how many nodes have memory, 1 if the system does not tell. */
  int nodes();

  /** Returns the node, from 0 to {@link #nodes}, of the core that runs this thread just now. */
  int node();

  /**
   * Places the pages of memory from {@link HostMemory#allocate}, before it is filled.
   *
   * @param node the node, or -1 for all in turn
   * @throws IOException if the system refuses
   */
  void spread(MemorySegment memory, int node) throws IOException;
}
