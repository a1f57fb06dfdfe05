package io.engram4j.gather;

import io.engram4j.format.Dtype;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/**
 * The embedding table of one layer: rows of {@code headDim} elements on a memory segment of any
 * size, row-major, little-endian, at any alignment. fp8 rows carry a second segment with one e8m0
 * scale per {@value #BLOCK} elements (specification, sections 1.2 and 6).
 *
 * <p>Immutable and thread-safe; whoever made the segments owns them.
 */
public final class Table {
  /** Elements of an fp8 row that share a scale. */
  public static final int BLOCK = 32;

  private final String name;
  private final Dtype dtype;
  private final long rows;
  private final int headDim;
  private final MemorySegment weight;
  private final @Nullable MemorySegment scale;

  private Table(
      String name,
      Dtype dtype,
      long rows,
      int headDim,
      MemorySegment weight,
      @Nullable MemorySegment scale) {
    this.name = name;
    this.dtype = dtype;
    this.rows = rows;
    this.headDim = headDim;
    this.weight = weight;
    this.scale = scale;
  }

  /**
   * A table of fp8 e4m3 rows with e8m0 block scales.
   *
   * @param name what messages call it, such as the tensor's name
   * @param weight [rows, headDim] codes
   * @param scale [rows, ceil(headDim / 32)] scales
   * @throws IllegalArgumentException if a segment's size is not that of the shape
   */
  public static Table fp8(
      String name, long rows, int headDim, MemorySegment weight, MemorySegment scale) {
    checkSize(name + " weight", weight, rows, headDim);
    checkSize(name + " scale", scale, rows, scalesPerRow(headDim));
    return new Table(name, Dtype.F8_E4M3, rows, headDim, weight, scale);
  }

  /**
   * A table whose rows need no scale.
   *
   * @param dtype BF16, F16 or F32
   * @param weight [rows, headDim] elements
   * @throws IllegalArgumentException for another type, or if the segment's size is not that of the
   *     shape
   */
  public static Table plain(
      String name, Dtype dtype, long rows, int headDim, MemorySegment weight) {
    if (dtype != Dtype.BF16 && dtype != Dtype.F16 && dtype != Dtype.F32) {
      throw new IllegalArgumentException(
          name + " has type " + dtype + ", but tables are F8_E4M3, BF16, F16 or F32");
    }
    checkSize(name, weight, rows, Math.multiplyExact((long) headDim, dtype.bytes()));
    return new Table(name, dtype, rows, headDim, weight, null);
  }

  /** Returns the number of scales that an fp8 row of this width has. */
  public static int scalesPerRow(int headDim) {
    return (headDim + BLOCK - 1) / BLOCK;
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

  /** Returns the type of the row elements: F8_E4M3, BF16, F16 or F32. */
  public Dtype dtype() {
    return dtype;
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
    return weight;
  }

  /** Returns the rows' block scales. */
  public MemorySegment scale() {
    if (scale == null) {
      throw new IllegalStateException(name + " of type " + dtype + " has no scales");
    }
    return scale;
  }

  /** Returns the bytes that a row takes, scales included. */
  public long rowBytes() {
    return (long) headDim * dtype.bytes() + (scale == null ? 0 : scalesPerRow(headDim));
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
