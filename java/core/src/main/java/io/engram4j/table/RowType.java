package io.engram4j.table;

import io.engram4j.model.Dtype;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * How the numbers of a row, of a table or of a weight, are stored (docs/spec.md, section 6). One
 * entry per type; the C library has the same table (row_types.h), and a test holds both equal. What
 * widens a type is in one file per kind of kernel, under the type's name.
 *
 * <p>A row is a run of blocks, the last of which may be cut short; a block's elements share a scale
 * where the type has scales.
 */
public enum RowType {
  /** IEEE single precision. */
  F32(0, Dtype.F32, 1, 4, Scales.NONE, 0, false, true),
  /** The upper half of a float. */
  BF16(1, Dtype.BF16, 1, 2, Scales.NONE, 0, true, true),
  /** IEEE half precision. */
  F16(2, Dtype.F16, 1, 2, Scales.NONE, 0, false, false),
  /** Codes of e4m3 with an e8m0 scale per 32 of a row, or per tile of 32 by 32 of a weight. */
  F8_E4M3(3, Dtype.F8_E4M3, 32, 32, Scales.BESIDE, 1, true, true);

  /** Where a type's scales lie. */
  public enum Scales {
    /** There are none. */
    NONE,
    /** Within the blocks. */
    IN_ROW,
    /** In a segment of their own, or behind each row. */
    BESIDE,
    /** One number serves the whole table. */
    ONE_FOR_ALL
  }

  private static final RowType[] ALL = values(); // values() makes a copy for each caller

  private final int code;
  private final Dtype dtype;
  private final int blockElements;
  private final int blockBytes;
  private final Scales scales;
  private final int scaleBytes;
  private final boolean exactInBf16;
  private final boolean weight;

  RowType(
      int code,
      Dtype dtype,
      int blockElements,
      int blockBytes,
      Scales scales,
      int scaleBytes,
      boolean exactInBf16,
      boolean weight) {
    this.code = code;
    this.dtype = dtype;
    this.blockElements = blockElements;
    this.blockBytes = blockBytes;
    this.scales = scales;
    this.scaleBytes = scaleBytes;
    this.exactInBf16 = exactInBf16;
    this.weight = weight;
  }

  /**
   * Returns the type of rows whose elements have a dtype.
   *
   * @throws IllegalArgumentException if no rows have it; the message names the rows
   */
  public static RowType of(String name, Dtype dtype) {
    for (RowType type : ALL) {
      if (type.dtype == dtype) {
        return type;
      }
    }
    throw new IllegalArgumentException(
        name + " has type " + dtype + ", but rows are " + Arrays.toString(ALL));
  }

  /** Returns the type of a number that {@link #code} gave, or null if there is none. */
  public static @Nullable RowType ofCode(int code) {
    for (RowType type : ALL) {
      if (type.code == code) {
        return type;
      }
    }
    return null;
  }

  /** Returns the number by which the C library, and packed files, know the type. */
  public int code() {
    return code;
  }

  /** Returns the dtype of the elements in a safetensors file. */
  public Dtype dtype() {
    return dtype;
  }

  /** Returns the elements of a block. */
  public int blockElements() {
    return blockElements;
  }

  /** Returns the bytes of a whole block, without a scale that lies beside. */
  public int blockBytes() {
    return blockBytes;
  }

  /** Returns where the scales lie. */
  public Scales scales() {
    return scales;
  }

  /** Returns whether the scales are a segment of their own, beside the elements. */
  public boolean hasScalesBeside() {
    return scales == Scales.BESIDE;
  }

  /** Returns the bytes of a block's scale beside, 0 where there is none. */
  public int scaleBytes() {
    return scaleBytes;
  }

  /** Returns whether a value, scaled, loses nothing as bf16, unless it is beyond its normals. */
  public boolean isExactInBf16() {
    return exactInBf16;
  }

  /** Returns whether projections may have weights of this type. */
  public boolean isWeight() {
    return weight;
  }

  /** Returns the blocks of a row, the last one perhaps cut short. */
  public int blocks(int elements) {
    return (elements + blockElements - 1) / blockElements;
  }

  /** Returns the bytes of so many elements from the start of a block, without scales beside. */
  public long elementBytes(int elements) {
    return scales == Scales.IN_ROW
        ? (long) blocks(elements) * blockBytes
        : (long) elements * blockBytes / blockElements;
  }

  /** Returns the bytes of a row's scales beside, 0 where there are none. */
  public int scaleBytes(int elements) {
    return scaleBytes * blocks(elements);
  }

  /** Returns the bytes of a row with its scales behind it. */
  public long rowBytes(int elements) {
    return elementBytes(elements) + scaleBytes(elements);
  }
}
