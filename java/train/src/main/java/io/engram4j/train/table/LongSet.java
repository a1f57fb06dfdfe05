package io.engram4j.train.table;

import java.util.Arrays;

/** Rows that changed: an open-addressing set of numbers from 0. For one thread at a time. */
final class LongSet {
  private long[] slots = empty(1 << 10);
  private int size;

  private static long[] empty(int length) {
    long[] slots = new long[length];
    Arrays.fill(slots, -1);
    return slots;
  }

  void add(long value) {
    if (place(slots, value)) {
      size++;
      if (2 * size > slots.length) {
        long[] larger = empty(2 * slots.length);
        for (long known : slots) {
          if (known >= 0) {
            place(larger, known);
          }
        }
        slots = larger;
      }
    }
  }

  private static boolean place(long[] slots, long value) {
    int at = hash(value) & (slots.length - 1);
    while (slots[at] >= 0) {
      if (slots[at] == value) {
        return false;
      }
      at = (at + 1) & (slots.length - 1);
    }
    slots[at] = value;
    return true;
  }

  static int hash(long value) {
    long mixed = value * 0x9e3779b97f4a7c15L;
    return (int) (mixed >>> 32);
  }

  int size() {
    return size;
  }

  long[] sorted() {
    return Arrays.stream(slots).filter(value -> value >= 0).sorted().toArray();
  }

  void clear() {
    slots = empty(1 << 10);
    size = 0;
  }
}
