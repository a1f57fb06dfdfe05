package io.engram4j.train.table;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;

/**
 * Copies of the rows that a step reads, of a table that lies elsewhere. Reading from several
 * threads is safe while no rows are taken in.
 */
public final class PulledRows implements RowReader {
  private final int width;
  private final RowIndex index;
  private float[] values;

  /** Has room for rows, and makes more when there are more. */
  public PulledRows(int rows, int width) {
    this.width = width;
    this.index = new RowIndex(rows);
    this.values = new float[Math.multiplyExact(Math.max(1, rows), width)];
  }

  /** Forgets all rows. */
  public void clear() {
    index.clear();
  }

  /** Names a row that is wanted. */
  public void want(long row) {
    index.add(row);
  }

  /** Returns how many different rows are wanted. */
  public int size() {
    return index.size();
  }

  /** Returns a wanted row, in the order in which they were first named. */
  public long row(int place) {
    return index.row(java.util.Objects.checkIndex(place, size()));
  }

  /**
   * Takes a wanted row in.
   *
   * @param elements its elements, from byte {@code at} on
   */
  public void take(int place, MemorySegment elements, long at) {
    int to = java.util.Objects.checkIndex(place, size()) * width;
    if (to + width > values.length) {
      values = Arrays.copyOf(values, Math.max(2 * values.length, size() * width));
    }
    MemorySegment.copy(elements, ValueLayout.JAVA_FLOAT_UNALIGNED, at, values, to, width);
  }

  @Override
  public void gather(long[] rows, int columns, boolean[] live, int tokens, float[] out) {
    for (int i = 0; i < tokens * columns; i++) {
      if (!live[i / columns]) {
        Arrays.fill(out, i * width, (i + 1) * width, 0f);
        continue;
      }
      int place = index.find(rows[i]);
      if (place < 0) {
        throw new IndexOutOfBoundsException("row " + rows[i] + " is not among those of this step");
      }
      System.arraycopy(values, place * width, out, i * width, width);
    }
  }
}
