package io.engram4j.train.table;

/**
 * What a trainable table is made of, and where its rows lie: a row and its state side by side, as
 * many rows a page as fit, so that touching a row touches one page where a page holds it.
 *
 * @param first id of the first row here; those before it are elsewhere
 * @param rows how many
 * @param width elements of a row
 * @param format of the elements
 * @param optimizer whose state lies beside each row
 * @param seed of stochastic rounding
 */
public record TableShape(
    long first, long rows, int width, RowFormat format, RowOptimizer optimizer, long seed) {
  static final int PAGE = 4096;

  public TableShape {
    if (rows < 1 || rows > 1L << 40) {
      throw new IllegalArgumentException("a table has 1 to 2^40 rows, not " + rows);
    }
    if (first < 0 || first > (1L << 40) - rows) {
      throw new IllegalArgumentException("rows are numbered to 2^40, not from " + first);
    }
    if (width < 1 || width > 1 << 16) {
      throw new IllegalArgumentException("a row has 1 to 65536 elements, not " + width);
    }
  }

  /** A float32 table with the default optimizer. */
  public static TableShape of(long rows, int width) {
    return new TableShape(0, rows, width, RowFormat.F32, RowOptimizer.RmsProp.DEFAULT, 0);
  }

  /**
   * Returns the shape of a table of some of these rows, which keep their ids.
   *
   * @throws IndexOutOfBoundsException if they are not all here
   */
  public TableShape range(long from, long count) {
    if (from < first || count < 0 || from - first > rows - count) {
      throw new IndexOutOfBoundsException(
          "rows " + from + " to " + (from + count) + " of a table of " + range());
    }
    return new TableShape(from, count, width, format, optimizer, seed);
  }

  /** Returns whether a row is here. */
  public boolean holds(long row) {
    return row >= first && row - first < rows;
  }

  /** Returns the rows' ids in words, such as "rows 0 to 99". */
  String range() {
    return first == 0 ? rows + " rows" : "rows " + first + " to " + (first + rows - 1);
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
    long place = row - first;
    return place / perPage * pageBytes() + place % perPage * rowBytes();
  }

  /** Returns the bytes of all rows. */
  public long bytes() {
    return Math.multiplyExact((rows + rowsPerPage() - 1) / rowsPerPage(), pageBytes());
  }

  /** Returns a line by which a file knows what it holds. */
  String describe() {
    return range() + " of " + width + " " + format + ", " + optimizer.describe() + ", seed " + seed;
  }
}
