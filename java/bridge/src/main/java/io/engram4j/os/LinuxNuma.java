package io.engram4j.os;

import io.engram4j.host.HostNuma;
import java.io.IOException;
import java.lang.foreign.MemorySegment;

/** Nodes by the numbers that the system lists; they need not be consecutive. */
final class LinuxNuma implements HostNuma {
  @Override
  public int nodes() {
    return Numa.NODES.length;
  }

  @Override
  public int node() {
    return Numa.node();
  }

  @Override
  public void spread(MemorySegment memory, int node) throws IOException {
    Numa.spread(memory, node);
  }
}
