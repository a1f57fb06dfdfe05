package io.engram4j.os;

import io.engram4j.host.HostMemory;
import io.engram4j.host.Limits;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;

/** Anonymous mappings, in huge pages where there are any, and locked where that is allowed. */
final class LinuxMemory implements HostMemory {
  static final long HUGE = 2 << 20;
  private static final int HUGE_PAGE = 14;

  @Override
  public MemorySegment allocate(long bytes, Arena arena) throws IOException {
    long whole = (bytes + HUGE - 1) / HUGE * HUGE;
    boolean allowed = whole <= Limits.availableHugePages();
    long reserved = allowed ? Libc.map(whole, Libc.PRIVATE_ANONYMOUS | Libc.HUGETLB, -1, 0) : -1;
    if (reserved > 0) {
      return held(reserved, 0, whole, bytes, arena);
    }
    // one huge page more, so that the table can begin at one
    long map = Libc.map(whole + HUGE, Libc.PRIVATE_ANONYMOUS, -1, 0);
    if (map < 0) {
      throw new IOException(
          "the system gives no "
              + bytes
              + " bytes of memory; address space limit: "
              + Limits.ofProcess("Max address space"));
    }
    long shift = (HUGE - map % HUGE) % HUGE;
    Libc.advise(map + shift, whole, HUGE_PAGE);
    return held(map, shift, whole + HUGE, bytes, arena);
  }

  @SuppressWarnings("restricted")
  private static MemorySegment held(long map, long shift, long whole, long bytes, Arena arena) {
    return MemorySegment.ofAddress(map + shift)
        .reinterpret(bytes, arena, unused -> Libc.unmap(map, whole));
  }

  /** Told from what the system says of the mapping. */
  @Override
  public long hugePageBytes(MemorySegment memory) {
    long huge = 0;
    boolean inside = false;
    try {
      for (String line : Files.readAllLines(Path.of("/proc/self/smaps"))) {
        if (line.matches("[0-9a-f]+-[0-9a-f]+ .*")) {
          String[] ends = line.substring(0, line.indexOf(' ')).split("-", 2);
          long start = Long.parseUnsignedLong(ends[0], 16);
          long end = Long.parseUnsignedLong(ends[1], 16);
          inside = start < memory.address() + memory.byteSize() && end > memory.address();
        } else if (inside
            && (line.startsWith("AnonHugePages:") || line.startsWith("Private_Hugetlb:"))) {
          huge += 1024 * Long.parseLong(line.replaceAll("[^0-9]", ""));
        }
      }
    } catch (IOException | NumberFormatException e) {
      return -1;
    }
    return Math.min(huge, memory.byteSize()); // a page reaches over the end
  }

  @Override
  public void lock(MemorySegment memory) throws IOException {
    int errno = -Libc.lock(memory);
    if (errno != 0) {
      throw new IOException(
          "cannot lock "
              + memory.byteSize()
              + " bytes of memory (errno "
              + errno
              + "); the limit is "
              + Limits.ofProcess("Max locked memory")
              + " bytes: raise it, for example with ulimit -l");
    }
  }
}
