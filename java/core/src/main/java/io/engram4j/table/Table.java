package io.engram4j.table;

import static java.lang.foreign.ValueLayout.JAVA_LONG_UNALIGNED;

import io.engram4j.host.ReadAhead;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Optional;
import java.util.function.IntSupplier;
import org.jspecify.annotations.Nullable;

/**
 * The embedding table of one layer: rows of {@code headDim} elements on a memory segment of any
 * size, row-major, little-endian, at any alignment. A {@link RowType} says how elements are stored;
 * scales lie in a second segment or, interleaved, right behind each row.
 *
 * <p>Immutable and thread-safe; whoever made the segments owns them.
 */
public final class Table {
  private final String name;
  private final RowType type;
  private final long rows;
  private final int headDim;
  private final MemorySegment weight;
  private final @Nullable MemorySegment scale;
  private final long weightStride;
  private final long scaleStride;
  private final Access access;
  private final @Nullable Holding holding;

  /**
   * How rows are come by.
   *
   * @param reader fetches them, if they are not in memory
   * @param ahead asks for many at once, if they are in a mapped file
   * @param file reads them from the file, if they are in a mapped one
   * @param copies the same rows in several places, or none
   * @param near which copy is the nearest to this thread just now
   */
  private record Access(
      @Nullable RowSource reader,
      @Nullable ReadAhead ahead,
      @Nullable RowSource file,
      List<Table> copies,
      IntSupplier near) {
    static final Access MEMORY = new Access(null, null, null, List.of(), () -> 0);
  }

  private Table(
      String name,
      RowType type,
      long rows,
      int headDim,
      MemorySegment weight,
      long weightStride,
      @Nullable MemorySegment scale,
      long scaleStride,
      Access access,
      @Nullable Holding holding) {
    this.name = name;
    this.type = type;
    this.rows = rows;
    this.headDim = headDim;
    this.weight = weight;
    this.scale = scale;
    this.weightStride = weightStride;
    this.scaleStride = scaleStride;
    this.access = access;
    this.holding = holding;
  }

  /**
   * How a table is held that was opened from a file.
   *
   * @param placement where, never {@link Placement#AUTO}
   * @param hugePageBytes how many bytes of it are in huge pages, -1 if nobody knows
   * @param description what that came to, and why it was chosen
   */
  public record Holding(Placement placement, long hugePageBytes, String description) {}

  private Table with(Access other) {
    return new Table(
        name, type, rows, headDim, weight, weightStride, scale, scaleStride, other, holding);
  }

  /** Returns this table, which knows how it is held. */
  public Table heldAs(Holding how) {
    return new Table(
        name, type, rows, headDim, weight, weightStride, scale, scaleStride, access, how);
  }

  /** Returns how it is held; nothing if it lies on segments that somebody else made. */
  public Optional<Holding> holding() {
    return Optional.ofNullable(holding);
  }

  /**
   * Returns this table, which is mapped, with ways to fetch many of its rows from disk at once and
   * to read them as they are: {@link #read} must not copy out of the mapping, since the file could
   * become shorter under it.
   */
  public Table ofFile(ReadAhead ahead, RowSource file) {
    return with(new Access(access.reader, ahead, file, access.copies, access.near));
  }

  /**
   * One table of which there are several copies, such as one per NUMA node.
   *
   * @param copies tables in memory with the same rows
   * @param near which of them a lookup of this thread takes; called for each lookup
   */
  public static Table copied(List<Table> copies, IntSupplier near) {
    return copies.getFirst().with(new Access(null, null, null, List.copyOf(copies), near));
  }

  /** Returns the copies of the rows: usually this table alone. */
  public List<Table> copies() {
    return access.copies.isEmpty() ? List.of(this) : access.copies;
  }

  /** Returns the place in {@link #copies} of the one that is the nearest to this thread. */
  public int nearest() {
    return access.copies.isEmpty() ? 0 : access.near.getAsInt();
  }

  /**
   * A table that is not in memory: its rows are fetched when they are wanted.
   *
   * @param source fetches rows
   */
  public static Table streamed(
      String name, RowType type, long rows, int headDim, RowSource source) {
    if (rows < 1 || headDim < 1) {
      throw new IllegalArgumentException(name + " has " + rows + " rows of " + headDim);
    }
    MemorySegment none = MemorySegment.NULL;
    Access access = new Access(source, null, null, List.of(), () -> 0);
    return new Table(name, type, rows, headDim, none, 0, null, 0, access, null);
  }

  /** Returns whether the rows are in memory, and so {@link #weight} can be called. */
  public boolean isInMemory() {
    return access.reader == null;
  }

  /**
   * Fetches rows as they are, each with its scales behind it.
   *
   * @param rowIds int64 [count], each -1 or a row of this table; what stands for -1 is left as it
   *     is
   * @param rows [count, rowBytes], written, from any thread
   * @throws IndexOutOfBoundsException at an id outside the table; then nothing is written
   * @throws java.io.UncheckedIOException if rows cannot be read
   */
  public void read(MemorySegment rowIds, long count, MemorySegment rows) {
    for (long i = 0; i < count; i++) {
      check(rowIds.getAtIndex(JAVA_LONG_UNALIGNED, i));
    }
    if (access.reader != null) {
      access.reader.read(rowIds, count, rows);
    } else {
      copies().get(nearest()).copy(rowIds, count, rows);
    }
  }

  private void copy(MemorySegment rowIds, long count, MemorySegment rows) {
    long bytes = type.elementBytes(headDim);
    long scales = type.scaleBytes(headDim);
    if (access.ahead != null) {
      willNeed(access.ahead, rowIds, count, bytes, scales);
    }
    if (access.file != null) {
      access.file.read(rowIds, count, rows);
      return;
    }
    for (long i = 0; i < count; i++) {
      long row = rowIds.getAtIndex(JAVA_LONG_UNALIGNED, i);
      if (row < 0) {
        continue;
      }
      long to = i * (bytes + scales);
      MemorySegment.copy(weight, row * weightStride, rows, to, bytes);
      if (scale != null) {
        MemorySegment.copy(scale, row * scaleStride, rows, to + bytes, scales);
      }
    }
  }

  /**
   * A table whose rows follow each other, with scales, if the type has them, in a second segment.
   *
   * @param name what messages call it, such as the tensor's name
   * @param weight [rows, bytes of a row's elements]
   * @param scale [rows, bytes of a row's scales], or null for types without scales beside
   * @throws IllegalArgumentException if a segment's size is not that of the shape, or scales are
   *     missing or not wanted
   */
  public static Table of(
      String name,
      RowType type,
      long rows,
      int headDim,
      MemorySegment weight,
      @Nullable MemorySegment scale) {
    long stride = type.elementBytes(headDim);
    long scaleStride = type.scaleBytes(headDim);
    if (type.hasScalesBeside() != (scale != null)) {
      throw new IllegalArgumentException(
          name + " of type " + type + (scale == null ? " needs scales" : " has no scales"));
    }
    checkSize(scale == null ? name : name + " weight", weight, rows, stride);
    if (scale != null) {
      checkSize(name + " scale", scale, rows, scaleStride);
    }
    return new Table(
        name, type, rows, headDim, weight, stride, scale, scaleStride, Access.MEMORY, null);
  }

  /**
   * A table of interleaved rows: each row's elements, then its scales if it has any, then the next
   * row. One row is then one run of memory, which is a page and a cache line less to fetch.
   *
   * @param data [rows, rowBytes]
   * @throws IllegalArgumentException if the segment's size is not that of the shape
   */
  public static Table interleaved(
      String name, RowType type, long rows, int headDim, MemorySegment data) {
    long stride = type.rowBytes(headDim);
    checkSize(name, data, rows, stride);
    boolean scaled = type.hasScalesBeside();
    MemorySegment scale = scaled ? data.asSlice(type.elementBytes(headDim)) : null;
    return new Table(
        name, type, rows, headDim, data, stride, scale, scaled ? stride : 0, Access.MEMORY, null);
  }

  private static void checkSize(String what, MemorySegment segment, long rows, long rowBytes) {
    if (rows < 1 || rowBytes < 1) {
      throw new IllegalArgumentException(
          what + " has " + rows + " rows of " + rowBytes + " bytes; both must be positive");
    }
    long bytes;
    try {
      bytes = Math.multiplyExact(rows, rowBytes);
    } catch (ArithmeticException e) {
      throw new IllegalArgumentException(
          what + ": " + rows + " rows of " + rowBytes + " bytes are more than 2^63 bytes", e);
    }
    if (segment.byteSize() != bytes) {
      throw new IllegalArgumentException(
          what
              + " holds "
              + segment.byteSize()
              + " bytes, but "
              + rows
              + " rows of "
              + rowBytes
              + " bytes are "
              + bytes);
    }
  }

  /** Returns what messages call this table. */
  public String name() {
    return name;
  }

  /** Returns how rows are stored. */
  public RowType type() {
    return type;
  }

  /** Returns what was read from disk so far, if the table is not in memory. */
  public RowSource.Statistics statistics() {
    return access.reader == null ? RowSource.Statistics.NONE : access.reader.statistics();
  }

  /** All rows are asked for before the first is waited for. */
  private void willNeed(
      ReadAhead ahead, MemorySegment rowIds, long count, long bytes, long scales) {
    for (long i = 0; i < count; i++) {
      long row = rowIds.getAtIndex(JAVA_LONG_UNALIGNED, i);
      if (row >= 0) {
        ahead.willNeed(weight, row * weightStride, bytes);
        if (scale != null && !isInterleaved()) {
          ahead.willNeed(scale, row * scaleStride, scales);
        }
      }
    }
  }

  /** Returns the number of rows. */
  public long rows() {
    return rows;
  }

  /** Returns the elements of a row. */
  public int headDim() {
    return headDim;
  }

  /** Returns the rows' elements. */
  public MemorySegment weight() {
    if (access.reader != null) {
      throw new IllegalStateException(name + " is not in memory");
    }
    return weight;
  }

  /** Returns whether rows have scales beside, so that {@link #scale} can be called. */
  public boolean hasScales() {
    return scale != null;
  }

  /** Returns whether each row's scales lie right behind it, so that a row is one run of memory. */
  public boolean isInterleaved() {
    return scale == null || scaleStride == weightStride;
  }

  /** Returns the rows' block scales. */
  public MemorySegment scale() {
    if (scale == null) {
      throw new IllegalStateException(name + " of type " + type + " has no scales");
    }
    return scale;
  }

  /** Returns the bytes from one row's elements to those of the next. */
  public long weightStride() {
    return weightStride;
  }

  /** Returns the bytes from one row's scales to those of the next, 0 without scales. */
  public long scaleStride() {
    return scaleStride;
  }

  /** Returns the bytes that a row takes, scales included. */
  public long rowBytes() {
    return type.rowBytes(headDim);
  }

  /**
   * Checks a row id: the row's own, or -1 for a row of zeros.
   *
   * @throws IndexOutOfBoundsException if it is neither
   */
  public long check(long rowId) {
    if (rowId < -1 || rowId >= rows) {
      throw new IndexOutOfBoundsException(
          "row id " + rowId + " is outside " + name + ", which has " + rows + " rows");
    }
    return rowId;
  }
}
