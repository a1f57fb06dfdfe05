package io.engram4j.host;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.List;

/** Files that are read at many places at once, as the operating system has them. Thread-safe. */
public interface HostFiles extends ReadAhead {
  /** Tells the system that a mapping is read at random places: it then reads no neighbours. */
  void random(MemorySegment mapping);

  /**
   * Opens files of which many parts are to be read at once.
   *
   * @throws IOException if the system does not offer that, with its reason, or cannot open a file
   */
  AsyncFiles openAsync(List<Path> files) throws IOException;

  /**
   * Returns the bytes at whose multiples reads past the page cache begin, or 0 if nobody knows.
   * What file systems call their block size says little: it is 1 MB on some.
   */
  int alignment(Path file);

  /**
   * Returns how many bytes of a mapped file are in memory, or -1 if the system does not tell.
   *
   * @param mapping not empty
   */
  long inPageCache(MemorySegment mapping);
}
