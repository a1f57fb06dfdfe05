package io.engram4j.train.table;

/**
 * What a trainable table is made of, and where its rows lie: a row and its state side by side, as
 * many rows a page as fit, so that touching a row touches one page where a page holds it.
 *
 * @param rows how many
 * @param width elements of a row
 * @param format of the elements
 * @param optimizer whose state lies beside each row
 * @param seed of stochastic rounding
 */
public record TableShape(
    long rows, int width, RowFormat format, RowOptimizer optimizer, long seed) {
  static final int PAGE = 4096;

  public TableShape {
    if (rows < 1 || rows > 1L << 40) {
      throw new IllegalArgumentException("a table has 1 to 2^40 rows, not " + rows);
    }
    if (width < 1 || width > 1 << 16) {
      throw new IllegalArgumentException("a row has 1 to 65536 elements, not " + width);
    }
  }

  /** A float32 table with the default optimizer. */
  public static TableShape of(long rows, int width) {
    return new TableShape(rows, width, RowFormat.F32, RowOptimizer.RmsProp.DEFAULT, 0);
  }

  /** Returns the floats of a row and its state together. */
  public int floats() {
    return width + optimizer.stateFloats(width);
  }

  /** Returns the bytes of a row's elements, a multiple of 4. */
  int elementBytes() {
    return (width * format.bytes() + 3) / 4 * 4;
  }

  /** Returns the bytes of a row and its state. */
  public int rowBytes() {
    return elementBytes() + 4 * optimizer.stateFloats(width);
  }

  private int rowsPerPage() {
    return Math.max(1, PAGE / rowBytes());
  }

  private long pageBytes() {
    return (rowBytes() + PAGE - 1L) / PAGE * PAGE;
  }

  /** Returns the byte at which a row begins. */
  long at(long row) {
    int perPage = rowsPerPage();
    return row / perPage * pageBytes() + row % perPage * rowBytes();
  }

  /** Returns the bytes of all rows. */
  public long bytes() {
    return Math.multiplyExact((rows + rowsPerPage() - 1) / rowsPerPage(), pageBytes());
  }

  /** Returns a line by which a file knows what it holds. */
  String describe() {
    return rows
        + " rows of "
        + width
        + " "
        + format
        + ", "
        + optimizer.describe()
        + ", seed "
        + seed;
  }
}
