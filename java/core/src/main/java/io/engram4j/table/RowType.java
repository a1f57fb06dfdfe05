package io.engram4j.table;

import io.engram4j.model.Dtype;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * How the numbers of a row, of a table or of a weight, are stored (docs/spec.md, section 6). One
 * entry per type; the C library has the same table (row_types.h), and a test holds both equal. What
 * widens a type is in one file per kind of kernel, under the type's name.
 *
 * <p>A row is a run of blocks, the last of which may be cut short; a block's elements share a scale
 * where the type has scales, and perhaps a bias that is added.
 */
public enum RowType {
  /** IEEE single precision. */
  F32(0, Dtype.F32, 1, 4, false, true),
  /** The upper half of a float. */
  BF16(1, Dtype.BF16, 1, 2, true, true),
  /** IEEE half precision. */
  F16(2, Dtype.F16, 1, 2, false, true),
  /** Codes of e4m3 with an e8m0 scale per 32 of a row, or per tile of 32 by 32 of a weight. */
  F8_E4M3(3, Dtype.F8_E4M3, 32, 32, Scales.BESIDE, 1, 0, true, true),
  /** Codes of e4m3 with one scale for the whole table; values are rounded to bf16. */
  F8_E4M3_TENSOR(4, null, 1, 1, Scales.TENSOR, 0, 0, true, false),
  /**
   * Codes of 4-bit floats, the low half of a byte first, with an e4m3 scale per 16 and one for the
   * whole table; values are rounded to bf16. What ModelOpt calls NVFP4.
   */
  F4_E2M1(5, null, 16, 8, Scales.BESIDE, 1, 0, true, false),
  /** Four bits with a scale and a bias per 64, both bf16; values are rounded to bf16. MLX's. */
  AFFINE4_64(6, null, 64, 32, Scales.BESIDE, 2, 2, true, false),
  /** The same with a scale and a bias per 32. */
  AFFINE4_32(7, null, 32, 16, Scales.BESIDE, 2, 2, true, false),
  // blocks as ggml has them, under its names
  Q8_0(8, 32, 34),
  Q4_0(9, 32, 18),
  Q4_1(10, 32, 20),
  Q5_0(11, 32, 22),
  Q5_1(12, 32, 24),
  IQ4_NL(13, 32, 18),
  MXFP4(14, null, 32, 17, Scales.IN_ROW, 0, 0, true, true),
  NVFP4(15, null, 64, 36, Scales.IN_ROW, 0, 0, true, true),
  Q1_0(16, 128, 18),
  Q2_0(17, 64, 18),
  Q2_K(18, 256, 84),
  Q3_K(19, 256, 110),
  Q4_K(20, 256, 144),
  Q5_K(21, 256, 176),
  Q6_K(22, 256, 210),
  IQ4_XS(23, 256, 136);

  /** Where a type's scales lie. */
  public enum Scales {
    /** There are none. */
    NONE,
    /** Within the blocks. */
    IN_ROW,
    /** In a segment of their own, or behind each row. */
    BESIDE,
    /** One number serves the whole table. */
    TENSOR
  }

  private static final RowType[] ALL = values(); // values() makes a copy for each caller

  private final int code;
  private final @Nullable Dtype dtype;
  private final int blockElements;
  private final int blockBytes;
  private final Scales scales;
  private final int scaleBytes;
  private final int biasBytes;
  private final boolean exactInBf16;
  private final boolean weight;

  RowType(
      int code,
      @Nullable Dtype dtype,
      int blockElements,
      int blockBytes,
      Scales scales,
      int scaleBytes,
      int biasBytes,
      boolean exactInBf16,
      boolean weight) {
    this.code = code;
    this.dtype = dtype;
    this.blockElements = blockElements;
    this.blockBytes = blockBytes;
    this.scales = scales;
    this.scaleBytes = scaleBytes;
    this.biasBytes = biasBytes;
    this.exactInBf16 = exactInBf16;
    this.weight = weight;
  }

  /** Numbers without scales. */
  RowType(
      int code,
      Dtype dtype,
      int blockElements,
      int blockBytes,
      boolean exactInBf16,
      boolean weight) {
    this(code, dtype, blockElements, blockBytes, Scales.NONE, 0, 0, exactInBf16, weight);
  }

  /** Blocks with scales that bf16 does not hold. */
  RowType(int code, int blockElements, int blockBytes) {
    this(code, null, blockElements, blockBytes, Scales.IN_ROW, 0, 0, false, true);
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
    List<Dtype> dtypes = Arrays.stream(ALL).map(RowType::dtype).filter(Objects::nonNull).toList();
    throw new IllegalArgumentException(name + " has type " + dtype + ", but rows are " + dtypes);
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

  /** Returns the dtype of the elements in a safetensors file, or null if that does not tell. */
  public @Nullable Dtype dtype() {
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

  /** Returns the bytes of a block's bias beside, 0 where there is none. */
  public int biasBytes() {
    return biasBytes;
  }

  /** Returns whether there is one scale for the whole table, on top of others or alone. */
  public boolean hasFactor() {
    return scales == Scales.TENSOR || this == F4_E2M1 || biasBytes > 0;
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
    return (int) ((elements + blockElements - 1L) / blockElements);
  }

  /**
   * Returns the bytes of so many elements from the start of a block, without scales beside. Blocks
   * with their scales in them are whole; codes beside scales end with the last byte that has one.
   */
  public long elementBytes(int elements) {
    return scales == Scales.IN_ROW
        ? (long) blocks(elements) * blockBytes
        : ((long) elements * blockBytes + blockElements - 1) / blockElements;
  }

  /** Returns the bytes of a row's scales beside, 0 where there are none. */
  public int scaleBytes(int elements) {
    return scaleBytes * blocks(elements);
  }

  /** Returns the bytes of a row's biases beside, 0 where there are none. */
  public int biasBytes(int elements) {
    return biasBytes * blocks(elements);
  }

  /** Returns the bytes of a row with its scales, then its biases, behind it. */
  public long rowBytes(int elements) {
    return elementBytes(elements) + scaleBytes(elements) + biasBytes(elements);
  }
}
