package io.engram4j.ffm;

import io.engram4j.table.AsyncFiles;
import io.engram4j.table.HostMemory;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;

/** Linux: anonymous mappings in huge pages, locking, and advice on mapped files. */
public final class LinuxHostMemory implements HostMemory {
  static final long HUGE = 2 << 20;
  private static final int RANDOM = 1;
  private static final int WILL_NEED = 3;
  private static final int HUGE_PAGE = 14;

  /** Made by the service loader. */
  public LinuxHostMemory() {}

  @Override
  public boolean isAvailable() {
    if (!System.getProperty("os.name").toLowerCase(Locale.ROOT).startsWith("linux")) {
      return false;
    }
    try {
      return Libc.PAGE > 0;
    } catch (LinkageError | IllegalCallerException e) {
      return false; // native access is denied
    }
  }

  @Override
  public MemorySegment allocate(long bytes, Arena arena) throws IOException {
    long whole = (bytes + HUGE - 1) / HUGE * HUGE;
    long reserved = Libc.map(whole, Libc.PRIVATE_ANONYMOUS | Libc.HUGETLB, -1, 0);
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
              + limit("Max address space"));
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
  public String pages(MemorySegment memory) {
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
      return "pages of unknown size";
    }
    long percent = Math.min(100, huge * 100 / Math.max(1, memory.byteSize()));
    return percent == 0 ? "ordinary pages" : percent + " % in huge pages";
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
              + limit("Max locked memory")
              + " bytes: raise it, for example with ulimit -l");
    }
  }

  private static String limit(String name) {
    try {
      for (String line : Files.readAllLines(Path.of("/proc/self/limits"))) {
        if (line.startsWith(name)) {
          return line.substring(name.length()).strip().split("\\s+", 2)[0];
        }
      }
    } catch (IOException e) {
      return "unknown";
    }
    return "unknown";
  }

  @Override
  public void random(MemorySegment mapping) {
    advise(mapping, 0, mapping.byteSize(), RANDOM);
  }

  @Override
  public void willNeed(MemorySegment mapping, long offset, long bytes) {
    advise(mapping, offset, bytes, WILL_NEED);
  }

  private static void advise(MemorySegment mapping, long offset, long bytes, int advice) {
    if (!mapping.isNative()) {
      return;
    }
    long start = (mapping.address() + offset) & -Libc.PAGE;
    Libc.advise(start, mapping.address() + offset + bytes - start, advice);
  }

  @Override
  public AsyncFiles openAsync(List<Path> files) throws IOException {
    return new UringFiles(files);
  }

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

  @Override
  public long inPageCache(MemorySegment mapping) {
    long start = mapping.address() & -Libc.PAGE;
    long end = mapping.address() + mapping.byteSize();
    long step = Libc.PAGE << 20;
    long pages = 0;
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment states = arena.allocate(1 << 20);
      for (long at = start; at < end; at += step) {
        long bytes = Math.min(step, end - at);
        if (Libc.inCore(at, bytes, states) != 0) {
          return -1;
        }
        for (long i = 0; i < (bytes + Libc.PAGE - 1) / Libc.PAGE; i++) {
          pages += states.get(ValueLayout.JAVA_BYTE, i) & 1;
        }
      }
    }
    return Math.min(mapping.byteSize(), pages * Libc.PAGE);
  }
}
