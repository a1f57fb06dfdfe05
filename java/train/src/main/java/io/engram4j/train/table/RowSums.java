package io.engram4j.train.table;

import java.util.Arrays;

/** Sums of gradients by row, in the order in which they are added. For one thread at a time. */
public final class RowSums {
  /** Rows that are touched ahead. */
  private static final int BURST = 32;

  private static final int REGION_BITS = 9;
  private static final int REGIONS = 1 << REGION_BITS;

  private final int width;
  private final RowIndex index;
  private final int[] ends = new int[REGIONS + 1];
  private float[] values;
  private int[] order;

  /**
   * Has room for rows, and makes more when there are more.
   *
   * @param width elements of a row
   */
  public RowSums(int rows, int width) {
    this.width = width;
    this.index = new RowIndex(rows);
    this.values = new float[Math.multiplyExact(rows, width)];
    this.order = new int[rows];
  }

  /** Forgets all rows. */
  public void clear() {
    index.clear();
  }

  /** Returns how many different rows there are. */
  public int size() {
    return index.size();
  }

  /** Returns a row, in the order in which they first came. */
  public long row(int place) {
    return index.row(java.util.Objects.checkIndex(place, size()));
  }

  /** Returns a row's sum, copied. */
  public float[] sum(int place) {
    java.util.Objects.checkIndex(place, size());
    return Arrays.copyOfRange(values, place * width, (place + 1) * width);
  }

  /** Returns the sums, [size, width], in the order of rows; not copied. */
  public float[] values() {
    return values;
  }

  /** Returns the sum of the squares. */
  public double squares() {
    double squares = 0;
    for (int i = 0; i < size() * width; i++) {
      squares += (double) values[i] * values[i];
    }
    return squares;
  }

  /**
   * Adds a row's gradient.
   *
   * @param gradients from {@code from} on
   */
  public void add(long row, float[] gradients, int from) {
    int before = size();
    int place = index.add(row);
    int to = place * width;
    if (place == before) {
      if (to + width > values.length) {
        values = Arrays.copyOf(values, Math.max(2 * values.length, to + width));
      }
      System.arraycopy(gradients, from, values, to, width);
      return;
    }
    plus(to, gradients, from);
  }

  /** Adds a row's gradient if the row is here already. */
  void addToKnown(long row, float[] gradients, int from) {
    int place = index.find(row);
    if (place >= 0) {
      plus(place * width, gradients, from);
    }
  }

  private void plus(int to, float[] gradients, int from) {
    for (int i = 0; i < width; i++) {
      values[to + i] += gradients[from + i];
    }
  }

  /**
   * Changes the rows, each by its own sum alone, so that their order changes no bit.
   *
   * @param factor by which gradients are multiplied
   * @param step number of the step, from 0; noise of rounding depends on it
   */
  public void apply(TrainableTable.Writer writer, float factor, float rate, long step) {
    int[] places = byRegion();
    for (int from = 0; from < size(); from += BURST) {
      int to = Math.min(size(), from + BURST);
      // misses that do not wait for each other, where updates would take them one by one
      for (int i = from; i < to; i++) {
        writer.touch(index.row(places[i]), values, places[i] * width);
      }
      for (int i = from; i < to; i++) {
        int place = places[i];
        writer.update(index.row(place), values, place * width, factor, rate, step);
      }
    }
  }

  /**
   * Returns the places of rows, those of one region of the table after those of another. Without
   * that each row's translation from address to page is a miss of its own; with it, with bits for
   * changed rows and with one copy of a row and its state, 50,000 of 10^7 rows took 13.8 ms in
   * place of 18.3 (docs/training.md).
   */
  private int[] byRegion() {
    long low = Long.MAX_VALUE;
    long high = 0;
    for (int i = 0; i < size(); i++) {
      low = Math.min(low, index.row(i));
      high = Math.max(high, index.row(i));
    }
    int shift = Math.max(0, 64 - Long.numberOfLeadingZeros(high - low) - REGION_BITS);
    Arrays.fill(ends, 0);
    for (int i = 0; i < size(); i++) {
      ends[(int) ((index.row(i) - low) >>> shift) + 1]++;
    }
    for (int i = 0; i < REGIONS; i++) {
      ends[i + 1] += ends[i];
    }
    if (order.length < size()) {
      order = new int[Math.max(2 * order.length, size())];
    }
    for (int i = 0; i < size(); i++) {
      order[ends[(int) ((index.row(i) - low) >>> shift)]++] = i;
    }
    return order;
  }
}
