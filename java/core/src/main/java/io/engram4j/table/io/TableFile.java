package io.engram4j.table.io;

import io.engram4j.host.Digests;
import io.engram4j.host.RegularFiles;
import io.engram4j.table.RowType;
import io.engram4j.table.Shard;
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
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * Where the rows of one table lie on disk: elements, scales and biases in regions of their own, as
 * checkpoints have them, or interleaved, as a {@link PackedFile} has them; all in one part, or cut
 * into shards that may lie in many files.
 *
 * @param name what messages call the table
 * @param type how rows are stored
 * @param rows number of rows
 * @param headDim elements of a row
 * @param factor the scale of the whole table, 1 where the type has none
 * @param parts in the order of their rows, the first from row 0 on
 */
public record TableFile(
    String name, RowType type, long rows, int headDim, float factor, List<Part> parts) {

  /**
   * Rows that lie together.
   *
   * @param first the row that lies first
   * @param rows how many there are
   * @param weight their elements
   * @param scale their scales if the type has them beside, else null
   * @param bias their biases if the type has them, else null
   */
  public record Part(
      long first, long rows, Region weight, @Nullable Region scale, @Nullable Region bias) {
    /** Returns the regions that there are, in the order in which a row has them. */
    List<Region> regions() {
      return Stream.of(weight, scale, bias).<Region>mapMulti(Part::unlessNull).toList();
    }

    /** Returns rows of this part, as a part that begins with row {@code as} of another table. */
    Part slice(long from, long count, long as) {
      return new Part(
          as,
          count,
          weight.from(from),
          scale == null ? null : scale.from(from),
          bias == null ? null : bias.from(from));
    }

    private static void unlessNull(@Nullable Region region, Consumer<Region> to) {
      if (region != null) {
        to.accept(region);
      }
    }

    /** Returns whether each row is one run of bytes in a file, without gaps between rows. */
    boolean isInterleaved(int rowBytes) {
      long at = weight.offset;
      for (Region region : regions()) {
        if (!region.file.equals(weight.file)
            || region.offset != at
            || region.stride != weight.stride) {
          return false;
        }
        at += region.bytes;
      }
      return scale == null || weight.stride == rowBytes;
    }
  }

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

    Region from(long row) {
      return new Region(file, at(row), stride, bytes);
    }
  }

  public TableFile {
    parts = List.copyOf(parts);
    if (rows < 1 || headDim < 1 || parts.isEmpty()) {
      throw new IllegalArgumentException(
          name
              + ": "
              + rows
              + " rows of "
              + headDim
              + " "
              + type
              + " in "
              + parts.size()
              + " parts");
    }
    long next = 0;
    for (Part part : parts) {
      if (part.first != next || part.rows < 1) {
        throw new IllegalArgumentException(
            name + ": a part has " + part.rows + " rows from " + part.first + ", not from " + next);
      }
      next = Math.addExact(next, part.rows);
      requireBytes(name, "elements", part.weight, type.elementBytes(headDim));
      requireBytes(name, "scales", part.scale, type.scaleBytes(headDim));
      requireBytes(name, "biases", part.bias, type.biasBytes(headDim));
    }
    if (next != rows) {
      throw new IllegalArgumentException(name + ": parts have " + next + " rows, not " + rows);
    }
  }

  private static void requireBytes(
      String name, String what, @Nullable Region region, long expected) {
    long actual = region == null ? 0 : region.bytes;
    if (actual != expected) {
      throw new IllegalArgumentException(
          name + ": the " + what + " of a row take " + expected + " bytes, not " + actual);
    }
  }

  /** A table in one part, without biases. */
  public TableFile(
      String name, RowType type, long rows, int headDim, Region weight, @Nullable Region scale) {
    this(name, type, rows, headDim, 1, List.of(new Part(0, rows, weight, scale, null)));
  }

  /** A table whose rows lie from an offset on, each with its scales and biases behind it. */
  public static TableFile interleaved(
      String name, RowType type, long rows, int headDim, float factor, Path file, long offset) {
    int stride = Math.toIntExact(type.rowBytes(headDim));
    int elements = Math.toIntExact(type.elementBytes(headDim));
    int scales = type.scaleBytes(headDim);
    int biases = type.biasBytes(headDim);
    Region weight = new Region(file, offset, stride, elements);
    Region scale = scales == 0 ? null : new Region(file, offset + elements, stride, scales);
    Region bias = biases == 0 ? null : new Region(file, offset + elements + scales, stride, biases);
    return new TableFile(
        name, type, rows, headDim, factor, List.of(new Part(0, rows, weight, scale, bias)));
  }

  /**
   * Returns some of the rows as a table of their own, in the same files.
   *
   * @param from the row that becomes row 0
   * @throws IllegalArgumentException if this has not all of them
   */
  public TableFile slice(long from, long count) {
    if (from < 0 || count < 1 || from > rows - count) {
      throw new IllegalArgumentException(
          name + " has " + rows + " rows, not " + count + " from " + from);
    }
    List<Part> own = new ArrayList<>();
    for (Part part : parts) {
      long begin = Math.max(from, part.first);
      long end = Math.min(from + count, part.first + part.rows);
      if (begin < end) {
        own.add(part.slice(begin - part.first, end - begin, begin - from));
      }
    }
    String slice = name + " from row " + from;
    return new TableFile(slice, type, count, headDim, factor, own);
  }

  /** Returns the elements of the first part's rows: of all, where there is one part. */
  public Region weight() {
    return parts.getFirst().weight;
  }

  /** Returns the scales of the first part's rows, or null. */
  public @Nullable Region scale() {
    return parts.getFirst().scale;
  }

  /** Returns the bytes of a row, scales included. */
  public int rowBytes() {
    return Math.toIntExact(type.rowBytes(headDim));
  }

  /** Returns the bytes of all rows. */
  public long bytes() {
    return rows * rowBytes();
  }

  /** Returns whether each row is one run of bytes in a file. */
  public boolean isInterleaved() {
    return parts.stream().allMatch(part -> part.isInterleaved(rowBytes()));
  }

  /** Returns the place among parts of the one that has a row. */
  static int partOf(List<Part> parts, long row) {
    int low = 0;
    int high = parts.size() - 1;
    while (low < high) {
      int middle = (low + high + 1) >>> 1;
      if (row >= parts.get(middle).first) {
        low = middle;
      } else {
        high = middle - 1;
      }
    }
    return low;
  }

  /** Returns the files that hold rows. */
  public List<Path> files() {
    return parts.stream().flatMap(p -> p.regions().stream()).map(Region::file).distinct().toList();
  }

  /**
   * Returns the parts as they are read: interleaved rows as one region that is as wide as they are.
   */
  List<Part> reads() {
    if (!isInterleaved()) {
      return parts;
    }
    return parts.stream()
        .map(part ->
            new Part(
                part.first,
                part.rows,
                new Region(part.weight.file, part.weight.offset, part.weight.stride, rowBytes()),
                null,
                null))
        .toList();
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
    if (factor != 1) {
      text.append('*').append(factor);
    }
    for (Part part : parts) {
      for (Region region : part.regions()) {
        Path file = region.file().toRealPath();
        text.append('\n').append(file).append(' ').append(Files.size(file)).append(' ');
        text.append(Files.getLastModifiedTime(file).toMillis()).append(' ');
        text.append(region.offset()).append('+').append(region.stride());
      }
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
    if (factor != 1) {
      digest.update(ByteBuffer.allocate(4).putFloat(factor).flip());
    }
    for (Part part : parts) {
      for (Region region : part.regions()) {
        try (FileChannel channel = RegularFiles.read(region.file())) {
          requireSize(region.file(), channel.size(), region.end(part.rows));
          digest.update(
              ByteBuffer.allocate(16).putLong(channel.size()).putLong(region.offset).flip());
          digest.update(read(channel, 0, (int) Math.min(region.offset, MOST_HEADER)));
          int samples = Math.max(2, SAMPLED / parts.size());
          for (int i = 0; i < samples; i++) {
            digest.update(read(channel, region.at(sampled(i, samples, part.rows)), region.bytes));
          }
        }
      }
    }
    return digest.digest();
  }

  /** From the first row to the last. */
  private static long sampled(int i, int samples, long rows) {
    long last = rows - 1;
    return last / (samples - 1) * i + last % (samples - 1) * i / (samples - 1);
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
    Table table;
    if (parts.size() == 1 && isInterleaved()) {
      MemorySegment data = map(weight().file(), weight().offset(), bytes(), arena);
      table = Table.interleaved(name, type, rows, headDim, data);
    } else {
      List<Shard> shards = new ArrayList<>();
      for (Part part : parts) {
        shards.add(
            new Shard(
                part.first,
                mapRegion(part.weight, part.rows, arena),
                part.scale == null ? null : mapRegion(part.scale, part.rows, arena),
                part.bias == null ? null : mapRegion(part.bias, part.rows, arena)));
      }
      table = Table.sharded(name, type, rows, headDim, shards);
    }
    return type.hasFactor() ? table.withFactor(factor) : table;
  }

  private MemorySegment mapRegion(Region region, long count, Arena arena) throws IOException {
    return map(region.file(), region.offset(), region.end(count) - region.offset(), arena);
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
