package io.engram4j.host;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.List;

/** Plain Java: ordinary pages, one node, and no say in how the system treats files. */
final class JavaHost implements Host, HostMemory, HostFiles, HostNuma {
  @Override
  public boolean isAvailable() {
    return true;
  }

  @Override
  public HostMemory memory() {
    return this;
  }

  @Override
  public HostFiles files() {
    return this;
  }

  @Override
  public HostNuma numa() {
    return this;
  }

  @Override
  public MemorySegment allocate(long bytes, Arena arena) throws IOException {
    try {
      return arena.allocate(bytes, 4096);
    } catch (OutOfMemoryError e) {
      throw new IOException("there are no " + bytes + " bytes of memory for a table", e);
    }
  }

  @Override
  public long hugePageBytes(MemorySegment memory) {
    return 0;
  }

  @Override
  public void lock(MemorySegment memory) throws IOException {
    throw new IOException(
        "memory can only be locked with the module io.engram4j.bridge and native access");
  }

  @Override
  public void random(MemorySegment mapping) {
    // plain Java cannot give advice
  }

  @Override
  public void willNeed(MemorySegment mapping, long offset, long bytes) {
    // plain Java cannot give advice
  }

  @Override
  public AsyncFiles openAsync(List<Path> files) throws IOException {
    throw new IOException("io_uring needs the module io.engram4j.bridge and native access");
  }

  @Override
  public int alignment(Path file) {
    return 0;
  }

  @Override
  public long inPageCache(MemorySegment mapping) {
    return -1;
  }

  @Override
  public int nodes() {
    return 1;
  }

  @Override
  public int node() {
    return 0;
  }

  @Override
  public void spread(MemorySegment memory, int node) {
    // all memory is on the only node
  }
}
