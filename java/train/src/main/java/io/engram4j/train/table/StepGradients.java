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
  private final int columns;
  private final int width;
  private final int tokens;
  private final long[] ids;
  private final float[] gradients;
  private final RowSums[] sums;

  /** Makes room for tokens; all count as not live. */
  public StepGradients(int tokens, int columns, int width) {
    this.tokens = tokens;
    this.columns = columns;
    this.width = width;
    this.ids = new long[Math.multiplyExact(tokens, columns)];
    this.gradients = new float[Math.multiplyExact(ids.length, width)];
    this.sums = new RowSums[columns];
    for (int i = 0; i < columns; i++) {
      sums[i] = new RowSums(tokens, width);
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
        if (token < touching) {
          sums[column].add(id, gradients, from);
        } else {
          sums[column].addToKnown(id, gradients, from);
        }
      }
    }
  }

  /** Returns what a column added up to; as of the last {@link #addUp}. */
  public RowSums sums(int column) {
    return sums[column];
  }
}
