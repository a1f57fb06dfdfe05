package io.engram4j.table.io;

import io.engram4j.host.Digests;
import io.engram4j.host.RegularFiles;
import io.engram4j.table.RowType;
import io.engram4j.table.Table;
import java.io.EOFException;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileChannel.MapMode;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.List;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * Where the rows of one table lie on disk: elements and scales in two regions, as checkpoints have
 * them, or interleaved, as a {@link PackedFile} has them.
 *
 * @param name what messages call the table
 * @param type how rows are stored
 * @param rows number of rows
 * @param headDim elements of a row
 * @param weight the rows' elements
 * @param scale the rows' scales if the type has them beside, else null
 */
public record TableFile(
    String name, RowType type, long rows, int headDim, Region weight, @Nullable Region scale) {

  /** A file system maps no files, as FUSE's with direct I/O. */
  static final class NotMappedException extends IOException {
    private static final long serialVersionUID = 1;

    NotMappedException(String message, Throwable cause) {
      super(message, cause);
    }
  }

  private static final int MOST_HEADER = 1 << 20;
  private static final int SAMPLED = 128;

  /**
   * A part of each row, at regular distances in one file.
   *
   * @param file the file
   * @param offset first byte of the first row's part
   * @param stride bytes from one row's part to the next row's
   * @param bytes size of a row's part
   */
  public record Region(Path file, long offset, long stride, int bytes) {
    /** Returns the byte behind the last row's part. */
    long end(long rows) {
      return Math.addExact(offset, Math.addExact(Math.multiplyExact(rows - 1, stride), bytes));
    }

    long at(long row) {
      return offset + row * stride;
    }
  }

  public TableFile {
    boolean fits =
        rows >= 1
            && headDim >= 1
            && weight.bytes() == type.elementBytes(headDim)
            && type.hasScalesBeside() == (scale != null);
    if (!fits) {
      throw new IllegalArgumentException(
          name + ": " + rows + " rows of " + headDim + " " + type + " do not fit " + weight);
    }
    if (scale != null && scale.bytes() != type.scaleBytes(headDim)) {
      throw new IllegalArgumentException(
          name + ": a row has " + type.scaleBytes(headDim) + " scales, not " + scale.bytes());
    }
  }

  /** A table whose rows lie interleaved from an offset on. */
  static TableFile interleaved(
      String name, RowType type, long rows, int headDim, Path file, long offset) {
    int stride = Math.toIntExact(type.rowBytes(headDim));
    int bytes = Math.toIntExact(type.elementBytes(headDim));
    boolean scaled = type.hasScalesBeside();
    return new TableFile(
        name,
        type,
        rows,
        headDim,
        new Region(file, offset, stride, bytes),
        scaled ? new Region(file, offset + bytes, stride, stride - bytes) : null);
  }

  /** Returns the bytes of a row, scales included. */
  public int rowBytes() {
    return Math.toIntExact(type.rowBytes(headDim));
  }

  /** Returns the bytes of all rows. */
  public long bytes() {
    return rows * rowBytes();
  }

  /** Returns whether each row is one run of bytes in the file. */
  public boolean isInterleaved() {
    return scale == null
        || (scale.file().equals(weight.file())
            && scale.offset() == weight.offset() + weight.bytes()
            && scale.stride() == weight.stride()
            && weight.stride() == rowBytes());
  }

  /** Returns the files that hold rows. */
  public List<Path> files() {
    return Stream.of(weight, scale == null ? weight : scale).map(Region::file).distinct().toList();
  }

  /**
   * Returns a text that differs when a file does: its path, size and time of change. Two tables of
   * equal identity have equal rows, as far as a file system tells.
   *
   * @throws IOException if a file is not there
   */
  public String identity() throws IOException {
    StringBuilder text = new StringBuilder();
    text.append(type).append(' ').append(rows).append('x').append(headDim);
    for (Region region : scale == null ? List.of(weight) : List.of(weight, scale)) {
      Path file = region.file().toRealPath();
      text.append('\n').append(file).append(' ').append(Files.size(file)).append(' ');
      text.append(Files.getLastModifiedTime(file).toMillis()).append(' ');
      text.append(region.offset()).append('+').append(region.stride());
    }
    return text.toString();
  }

  /**
   * Returns a digest of what the files hold: their sizes, what lies before the rows as far as
   * {@value #MOST_HEADER} bytes, and {@value #SAMPLED} rows. Copies of a file have the same,
   * whatever their times and places; a file of the same shape that was trained anew has another; a
   * change of few rows may go unseen.
   *
   * @throws IOException if a file cannot be read, or is shorter than its rows
   */
  public byte[] fingerprint() throws IOException {
    MessageDigest digest = Digests.sha256();
    digest.update((type.name() + " " + rows + "x" + headDim).getBytes(StandardCharsets.US_ASCII));
    for (Region region : scale == null ? List.of(weight) : List.of(weight, scale)) {
      try (FileChannel channel = RegularFiles.read(region.file())) {
        requireSize(region.file(), channel.size(), region.end(rows));
        digest.update(
            ByteBuffer.allocate(16).putLong(channel.size()).putLong(region.offset).flip());
        digest.update(read(channel, 0, (int) Math.min(region.offset, MOST_HEADER)));
        for (int i = 0; i < SAMPLED; i++) {
          digest.update(read(channel, region.at(sampled(i)), region.bytes));
        }
      }
    }
    return digest.digest();
  }

  /** From the first row to the last. */
  private long sampled(int i) {
    long last = rows - 1;
    return last / (SAMPLED - 1) * i + last % (SAMPLED - 1) * i / (SAMPLED - 1);
  }

  private static ByteBuffer read(FileChannel channel, long at, int bytes) throws IOException {
    ByteBuffer buffer = ByteBuffer.allocate(bytes);
    while (buffer.hasRemaining()) {
      if (channel.read(buffer, at + buffer.position()) < 0) {
        throw new EOFException("a file of rows became shorter while it was read");
      }
    }
    return buffer.flip();
  }

  /**
   * Maps the rows, read-only.
   *
   * @param arena the mapping ends when it is closed
   * @throws IOException if a file cannot be opened, or is shorter than its rows
   */
  public Table map(Arena arena) throws IOException {
    if (isInterleaved()) {
      MemorySegment data = map(weight.file(), weight.offset(), bytes(), arena);
      return Table.interleaved(name, type, rows, headDim, data);
    }
    MemorySegment elements = mapRegion(weight, arena);
    MemorySegment scales = scale == null ? null : mapRegion(scale, arena);
    return Table.of(name, type, rows, headDim, elements, scales);
  }

  private MemorySegment mapRegion(Region region, Arena arena) throws IOException {
    return map(region.file(), region.offset(), region.end(rows) - region.offset(), arena);
  }

  private MemorySegment map(Path file, long offset, long bytes, Arena arena) throws IOException {
    try (FileChannel channel = RegularFiles.read(file)) {
      requireSize(file, channel.size(), offset + bytes);
      try {
        return channel.map(MapMode.READ_ONLY, offset, bytes, arena);
      } catch (IOException | UnsupportedOperationException e) {
        throw new NotMappedException(
            file
                + " cannot be mapped ("
                + e.getMessage()
                + "): its file system maps no files; take the placement streamed or resident",
            e);
      }
    }
  }

  void requireSize(Path file, long size, long end) throws IOException {
    if (size < end) {
      throw new IOException(
          file + " has " + size + " bytes, but the rows of " + name + " end at " + end);
    }
  }
}
