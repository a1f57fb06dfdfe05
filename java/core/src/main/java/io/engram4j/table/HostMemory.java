package io.engram4j.table;

import io.engram4j.gather.ReadAhead;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.List;
import java.util.ServiceConfigurationError;
import java.util.ServiceLoader;
import org.slf4j.LoggerFactory;

/**
 * What the operating system offers for large memory and for files that are read at many places at
 * once; found through {@link ServiceLoader}, with plain Java in its place where there is none.
 * Thread-safe.
 */
public interface HostMemory extends ReadAhead {
  /** Returns whether this can be used here. Must not throw. */
  boolean isAvailable();

  /**
   * Allocates zeroed memory, in huge pages where there are any.
   *
   * @throws IOException if there is not so much; the message names the number and the limit
   */
  MemorySegment allocate(long bytes, Arena arena) throws IOException;

  /** Tells in what pages memory from {@link #allocate} is, now that it is filled. */
  String pages(MemorySegment memory);

  /**
   * Locks memory, so that it is never swapped out.
   *
   * @throws IOException if that is not allowed; the message names the limit
   */
  void lock(MemorySegment memory) throws IOException;

  /** Tells the system that a mapping is read at random places: it then reads no neighbours. */
  void random(MemorySegment mapping);

  /**
   * Opens files of which many parts are to be read at once.
   *
   * @throws IOException if the system does not offer that, with its reason, or cannot open a file
   */
  AsyncFiles openAsync(List<Path> files) throws IOException;

  /** Returns how many NUMA nodes have memory, 1 if the system does not tell. */
  int nodes();

  /** Returns the node, from 0 to {@link #nodes}, of the core that runs this thread just now. */
  int node();

  /**
   * Tells on which nodes the pages of memory from {@link #allocate} are to be, before it is filled.
   *
   * @param node the node, or -1 for all in turn
   * @throws IOException if the system refuses
   */
  void spread(MemorySegment memory, int node) throws IOException;

  /**
   * Returns how many bytes of a mapped file are in memory, or -1 if the system does not tell.
   *
   * @param mapping not empty
   */
  long inPageCache(MemorySegment mapping);

  /** Returns the first that can be used here, or plain Java's. */
  static HostMemory find() {
    var found =
        ServiceLoader.load(HostMemory.class, HostMemory.class.getClassLoader()).stream().iterator();
    while (found.hasNext()) {
      try {
        HostMemory memory = found.next().get();
        if (memory.isAvailable()) {
          return memory;
        }
      } catch (ServiceConfigurationError | LinkageError e) {
        LoggerFactory.getLogger(HostMemory.class).debug("host memory not taken: {}", e.toString());
      }
    }
    return new JavaHostMemory();
  }
}
