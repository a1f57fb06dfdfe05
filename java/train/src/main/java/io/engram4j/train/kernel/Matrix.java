package io.engram4j.train.kernel;

/**
 * A view of float32 numbers in an array as a matrix. Whoever made the array owns it.
 *
 * @param data the numbers
 * @param at the index of the first
 * @param rows how many rows
 * @param columns how many columns
 * @param rowStride numbers from a row to the next
 * @param columnStride numbers from a column to the next
 */
@SuppressWarnings("ArrayRecordComponent") // views, never compared or hashed
public record Matrix(float[] data, int at, int rows, int columns, int rowStride, int columnStride) {
  public Matrix {
    long last = at + (rows - 1L) * rowStride + (columns - 1L) * columnStride;
    if (rows < 1 || columns < 1 || at < 0 || last >= data.length) {
      throw new IllegalArgumentException(
          rows + " x " + columns + " from " + at + " end at " + last + " of " + data.length);
    }
  }

  /** A matrix whose rows follow each other. */
  public static Matrix of(float[] data, int at, int rows, int columns) {
    return new Matrix(data, at, rows, columns, columns, 1);
  }

  /** Columns of a wider matrix whose rows are {@code stride} apart. */
  public static Matrix of(float[] data, int at, int rows, int columns, int stride) {
    return new Matrix(data, at, rows, columns, stride, 1);
  }

  /** Returns the same numbers with rows as columns. */
  public Matrix transposed() {
    return new Matrix(data, at, columns, rows, columnStride, rowStride);
  }
}
