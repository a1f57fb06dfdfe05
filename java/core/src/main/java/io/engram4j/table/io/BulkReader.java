package io.engram4j.table.io;

import io.engram4j.host.RegularFiles;
import io.engram4j.table.io.TableFile.Part;
import io.engram4j.table.io.TableFile.Region;
import java.io.EOFException;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/** Reads runs of rows, interleaved whatever the files have. For one thread. */
final class BulkReader implements AutoCloseable {
  private final TableFile file;
  private final List<Part> parts;
  private final Arena arena; // the last to be made before the constructor can close it
  private final MemorySegment scratch; // what one region has of the rows, if there are several
  private final Map<Path, FileChannel> channels;

  /** A reader of at most {@code mostRows} rows at a time. */
  BulkReader(TableFile file, int mostRows) throws IOException {
    this.file = file;
    this.parts = file.reads();
    this.channels = new HashMap<>();
    this.arena = Arena.ofConfined();
    try {
      boolean whole = parts.getFirst().regions().size() == 1;
      this.scratch = arena.allocate(whole ? 0 : (long) mostRows * file.weight().bytes(), 64);
      for (Path path : file.files()) {
        channels.put(path, RegularFiles.read(path));
      }
    } catch (Throwable e) {
      close();
      throw e;
    }
  }

  /**
   * Reads rows {@code [first, first + count)}.
   *
   * @param to [count, rowBytes], interleaved
   */
  void read(long first, int count, MemorySegment to) throws IOException {
    int done = 0;
    while (done < count) {
      Part part = parts.get(TableFile.partOf(parts, first + done));
      long own = first + done - part.first();
      int some = (int) Math.min(count - done, part.rows() - own);
      read(part, own, some, to.asSlice((long) done * file.rowBytes()));
      done += some;
    }
  }

  private void read(Part part, long first, int count, MemorySegment to) throws IOException {
    List<Region> regions = part.regions();
    if (regions.size() == 1) {
      readFully(regions.getFirst(), first, count, to);
      return;
    }
    long row = file.rowBytes();
    long at = 0;
    for (Region region : regions) {
      readFully(region, first, count, scratch);
      for (int i = 0; i < count; i++) {
        MemorySegment.copy(scratch, (long) i * region.bytes(), to, i * row + at, region.bytes());
      }
      at += region.bytes();
    }
  }

  private void readFully(Region region, long first, int count, MemorySegment to)
      throws IOException {
    FileChannel channel = Objects.requireNonNull(channels.get(region.file()));
    ByteBuffer buffer = to.asSlice(0, (long) count * region.bytes()).asByteBuffer();
    long at = region.at(first);
    while (buffer.hasRemaining()) {
      int read = channel.read(buffer, at);
      if (read < 0) {
        throw new EOFException(
            region.file()
                + " ends at byte "
                + channel.size()
                + ", before rows "
                + first
                + " to "
                + (first + count - 1));
      }
      at += read;
    }
  }

  @Override
  public void close() throws IOException {
    arena.close();
    IOException failed = null;
    for (FileChannel channel : channels.values()) {
      try {
        channel.close();
      } catch (IOException e) {
        failed = e;
      }
    }
    if (failed != null) {
      throw failed;
    }
  }
}
