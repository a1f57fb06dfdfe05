package io.engram4j.train.table;

import java.util.Arrays;

/** Gives row ids places, in the order in which they come; an open-addressing map that grows. */
final class RowIndex {
  private long[] rows;
  private int[] slots; // place in rows, plus 1
  private int size;

  RowIndex(int capacity) {
    this.rows = new long[Math.max(1, capacity)];
    this.slots = slots(rows.length);
  }

  private static int[] slots(int capacity) {
    return new int[Integer.highestOneBit(Math.max(4, Math.multiplyExact(4, capacity) - 1))];
  }

  void clear() {
    Arrays.fill(slots, 0);
    size = 0;
  }

  int size() {
    return size;
  }

  long row(int place) {
    return rows[place];
  }

  private int slot(long row) {
    int at = (int) ((row * 0x9e3779b97f4a7c15L) >>> 32) & (slots.length - 1);
    while (slots[at] != 0 && rows[slots[at] - 1] != row) {
      at = (at + 1) & (slots.length - 1);
    }
    return at;
  }

  /** Returns a row's place, or -1. */
  int find(long row) {
    return slots[slot(row)] - 1;
  }

  /** Returns a row's place, which is the last one if the row is new. */
  int add(long row) {
    int at = slot(row);
    if (slots[at] == 0) {
      if (size == rows.length) {
        grow();
        at = slot(row);
      }
      rows[size] = row;
      slots[at] = ++size;
    }
    return slots[at] - 1;
  }

  private void grow() {
    rows = Arrays.copyOf(rows, 2 * rows.length);
    slots = slots(rows.length);
    for (int place = 0; place < size; place++) {
      slots[slot(rows[place])] = place + 1; // those placed already are found, not met twice
    }
  }
}
