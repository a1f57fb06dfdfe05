package io.engram4j.table.io;

import io.engram4j.host.RegularFiles;
import io.engram4j.table.io.TableFile.Region;
import java.io.EOFException;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import org.jspecify.annotations.Nullable;

/** Reads runs of rows, interleaved whatever the files have. For one thread. */
final class BulkReader implements AutoCloseable {
  private final TableFile file;
  private final Arena arena = Arena.ofConfined();
  private final MemorySegment weightScratch;
  private final MemorySegment scaleScratch;
  private final FileChannel weights;
  private final @Nullable FileChannel scales;

  /** A reader of at most {@code mostRows} rows at a time. */
  BulkReader(TableFile file, int mostRows) throws IOException {
    this.file = file;
    Region scale = file.isInterleaved() ? null : file.scale();
    FileChannel opened = null;
    try {
      long rows = scale == null ? 0 : mostRows;
      this.weightScratch = arena.allocate(rows * file.weight().bytes(), 64);
      this.scaleScratch = arena.allocate(scale == null ? 0 : rows * scale.bytes(), 64);
      opened = RegularFiles.read(file.weight().file());
      this.scales = scale == null ? null : RegularFiles.read(scale.file());
      this.weights = opened;
    } catch (Throwable e) {
      arena.close();
      if (opened != null) {
        opened.close();
      }
      throw e;
    }
  }

  /**
   * Reads rows {@code [first, first + count)}.
   *
   * @param to [count, rowBytes], interleaved
   */
  void read(long first, int count, MemorySegment to) throws IOException {
    Region weight = file.weight();
    Region scale = file.scale();
    if (scales == null || scale == null) {
      readFully(weights, weight, first, count, to, file.rowBytes());
      return;
    }
    readFully(weights, weight, first, count, weightScratch, weight.bytes());
    readFully(scales, scale, first, count, scaleScratch, scale.bytes());
    long row = file.rowBytes();
    for (int i = 0; i < count; i++) {
      long own = i * row;
      long from = (long) i * weight.bytes();
      MemorySegment.copy(weightScratch, from, to, own, weight.bytes());
      from = (long) i * scale.bytes();
      MemorySegment.copy(scaleScratch, from, to, own + weight.bytes(), scale.bytes());
    }
  }

  private static void readFully(
      FileChannel channel, Region region, long first, int count, MemorySegment to, int rowBytes)
      throws IOException {
    ByteBuffer buffer = to.asSlice(0, (long) count * rowBytes).asByteBuffer();
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
    try (scales) {
      weights.close();
    }
  }
}
