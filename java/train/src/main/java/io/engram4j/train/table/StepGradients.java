package io.engram4j.train.table;

import java.util.Arrays;

/**
 * The row gradients of a step, of one layer: each token's row ids with their gradients, then the
 * sum for each row. Columns of a token have rows of their own, so they can be added up by different
 * threads, and a column adds in the order of tokens: the same bits for any number of threads. Never
 * as large as the table.
 *
 * <p>Tokens may be written by any threads, each its own; {@link #addUp} may run for several columns
 * at once.
 */
public final class StepGradients {
  /** Rows that are touched ahead. */
  private static final int BURST = 32;

  private static final int REGION_BITS = 9;
  private static final int REGIONS = 1 << REGION_BITS;

  private final int columns;
  private final int width;
  private final int tokens;
  private final long[] ids;
  private final float[] gradients;
  private final Column[] sums;

  /** Makes room for tokens; all count as not live. */
  public StepGradients(int tokens, int columns, int width) {
    this.tokens = tokens;
    this.columns = columns;
    this.width = width;
    this.ids = new long[Math.multiplyExact(tokens, columns)];
    this.gradients = new float[Math.multiplyExact(ids.length, width)];
    this.sums = new Column[columns];
    for (int i = 0; i < columns; i++) {
      sums[i] = new Column(tokens, width);
    }
    clear();
  }

  /** Forgets the tokens. */
  public void clear() {
    Arrays.fill(ids, -1);
  }

  /** Returns how many columns there are. */
  public int columns() {
    return columns;
  }

  /**
   * Takes tokens' gradients in.
   *
   * @param first the place of the first token in the step
   * @param rows [count, columns]
   * @param live [count]; where it is false the rows were not read and do not count as touched
   * @param drows [count, columns * width]
   */
  public void put(int first, int count, long[] rows, boolean[] live, float[] drows) {
    for (int token = 0; token < count; token++) {
      if (live[token]) {
        System.arraycopy(rows, token * columns, ids, (first + token) * columns, columns);
      }
    }
    System.arraycopy(
        drows, 0, gradients, first * columns * width, Math.multiplyExact(count, columns * width));
  }

  /** Adds up a column. */
  public void addUp(int column) {
    addUp(column, tokens);
  }

  /**
   * Adds up a column, of which only the first tokens touch rows: later ones add to rows that those
   * touched, and leave others alone.
   */
  public void addUp(int column, int touching) {
    sums[column].clear();
    for (int token = 0; token < tokens; token++) {
      long id = ids[token * columns + column];
      if (id >= 0) {
        int from = (token * columns + column) * width;
        sums[column].add(id, gradients, from, token < touching);
      }
    }
  }

  /** Returns how many different rows a column touched, after {@link #addUp}. */
  public int touched(int column) {
    return sums[column].size;
  }

  /** Returns a row that a column touched, in the order in which tokens first named them. */
  public long row(int column, int index) {
    return sums[column].rows[java.util.Objects.checkIndex(index, touched(column))];
  }

  /** Returns the sum of that row's gradients, copied. */
  public float[] sum(int column, int index) {
    java.util.Objects.checkIndex(index, touched(column));
    return Arrays.copyOfRange(sums[column].values, index * width, (index + 1) * width);
  }

  /** Returns the sum of the squares of a column's gradients, after {@link #addUp}. */
  public double squares(int column) {
    Column sum = sums[column];
    double squares = 0;
    for (int i = 0; i < sum.size * width; i++) {
      squares += (double) sum.values[i] * sum.values[i];
    }
    return squares;
  }

  /**
   * Changes the rows that a column touched, each by its own gradient alone, so that their order
   * changes no bit.
   *
   * @param factor by which gradients are multiplied
   * @param step number of the step, from 0; noise of rounding depends on it
   */
  public void apply(int column, TrainableTable table, float factor, float rate, long step) {
    Column sum = sums[column];
    TrainableTable.Writer writer = table.writer(column);
    int[] order = sum.byRegion();
    for (int from = 0; from < sum.size; from += BURST) {
      int to = Math.min(sum.size, from + BURST);
      // misses that do not wait for each other, where updates would take them one by one
      for (int i = from; i < to; i++) {
        writer.touch(sum.rows[order[i]], sum.values, order[i] * width);
      }
      for (int i = from; i < to; i++) {
        int at = order[i];
        writer.update(sum.rows[at], sum.values, at * width, factor, rate, step);
      }
    }
  }

  /** Sums by row, in the order of their first token; an open-addressing map to that order. */
  private static final class Column {
    private final int width;
    private final long[] rows;
    private final float[] values;
    private final int[] slots; // place in rows, plus 1
    private final int[] order;
    private final int[] ends = new int[REGIONS + 1];
    private int size;

    Column(int tokens, int width) {
      this.width = width;
      this.rows = new long[tokens];
      this.values = new float[tokens * width];
      this.order = new int[tokens];
      this.slots = new int[Integer.highestOneBit(Math.max(4, 4 * tokens - 1))];
    }

    void clear() {
      Arrays.fill(slots, 0);
      size = 0;
    }

    /**
     * Returns the places of rows, those of one region of the table after those of another. Without
     * that each row's translation from address to page is a miss of its own; with it, with bits for
     * changed rows and with one copy of a row and its state, 50,000 of 10^7 rows took 13.8 ms in
     * place of 18.3 (docs/training.md).
     */
    int[] byRegion() {
      long low = Long.MAX_VALUE;
      long high = 0;
      for (int i = 0; i < size; i++) {
        low = Math.min(low, rows[i]);
        high = Math.max(high, rows[i]);
      }
      int shift = Math.max(0, 64 - Long.numberOfLeadingZeros(high - low) - REGION_BITS);
      Arrays.fill(ends, 0);
      for (int i = 0; i < size; i++) {
        ends[(int) ((rows[i] - low) >>> shift) + 1]++;
      }
      for (int i = 0; i < REGIONS; i++) {
        ends[i + 1] += ends[i];
      }
      for (int i = 0; i < size; i++) {
        order[ends[(int) ((rows[i] - low) >>> shift)]++] = i;
      }
      return order;
    }

    private static int hash(long row) {
      return (int) ((row * 0x9e3779b97f4a7c15L) >>> 32);
    }

    void add(long row, float[] gradients, int from, boolean touches) {
      int at = hash(row) & (slots.length - 1);
      while (slots[at] != 0 && rows[slots[at] - 1] != row) {
        at = (at + 1) & (slots.length - 1);
      }
      if (slots[at] == 0) {
        if (!touches) {
          return;
        }
        rows[size] = row;
        System.arraycopy(gradients, from, values, size * width, width);
        slots[at] = ++size;
        return;
      }
      int to = (slots[at] - 1) * width;
      for (int i = 0; i < width; i++) {
        values[to + i] += gradients[from + i];
      }
    }
  }
}
