package io.engram4j.table.io;

import io.engram4j.table.RowType;
import io.engram4j.table.Table;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.channels.FileChannel.MapMode;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
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
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
      requireSize(file, channel.size(), offset + bytes);
      return channel.map(MapMode.READ_ONLY, offset, bytes, arena);
    }
  }

  void requireSize(Path file, long size, long end) throws IOException {
    if (size < end) {
      throw new IOException(
          file + " has " + size + " bytes, but the rows of " + name + " end at " + end);
    }
  }
}
