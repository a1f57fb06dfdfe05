package io.engram4j.os;

import io.engram4j.host.AsyncFiles;
import io.engram4j.host.HostFiles;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.List;

/** Advice on mapped files, what of them is in memory, and reads through io_uring. */
final class LinuxFiles implements HostFiles {
  private static final int RANDOM = 1;
  private static final int WILL_NEED = 3;

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
  public int alignment(Path file) {
    return Libc.directAlignment(file.toString());
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
