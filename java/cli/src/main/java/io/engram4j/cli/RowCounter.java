package io.engram4j.cli;

import java.util.Arrays;

/** Counts how often each row id comes; open addressing, since a corpus has millions of them. */
final class RowCounter {
  private long[] keys = new long[1 << 16]; // row id + 1; 0 is an empty place
  private int[] counts = new int[1 << 16];
  private int distinct;
  private long total;

  void add(long row) {
    total++;
    int at = place(keys, row);
    if (keys[at] == 0) {
      keys[at] = row + 1;
      distinct++;
      if (distinct > keys.length / 2) {
        grow();
        at = place(keys, row);
      }
    }
    counts[at]++;
  }

  private static int place(long[] keys, long row) {
    int mask = keys.length - 1;
    long hash = row * 0x9e3779b97f4a7c15L;
    int at = (int) (hash >>> 40) & mask;
    while (keys[at] != 0 && keys[at] != row + 1) {
      at = (at + 1) & mask;
    }
    return at;
  }

  private void grow() {
    long[] larger = new long[2 * keys.length];
    int[] moved = new int[2 * keys.length];
    for (int i = 0; i < keys.length; i++) {
      if (keys[i] != 0) {
        int at = place(larger, keys[i] - 1);
        larger[at] = keys[i];
        moved[at] = counts[i];
      }
    }
    keys = larger;
    counts = moved;
  }

  int distinct() {
    return distinct;
  }

  long total() {
    return total;
  }

  /** A row id and how often it came, the most frequent first; equals by id. */
  @SuppressWarnings("ArrayRecordComponent") // millions of them, never compared
  record Ranked(long[] rows, int[] counts) {
    /** Returns the share of all lookups that the first {@code size} rows serve. */
    double share(int size, long total) {
      long sum = 0;
      for (int i = 0; i < Math.min(size, counts.length); i++) {
        sum += counts[i];
      }
      return total == 0 ? 0 : (double) sum / total;
    }
  }

  Ranked ranked() {
    long[] order = new long[distinct]; // count, then place: sorts as longs
    int n = 0;
    for (int i = 0; i < keys.length; i++) {
      if (keys[i] != 0) {
        order[n++] = ((long) (Integer.MAX_VALUE - counts[i]) << 32) | i;
      }
    }
    Arrays.sort(order);
    long[] rows = new long[n];
    int[] ranked = new int[n];
    for (int i = 0; i < n; i++) {
      int at = (int) order[i];
      rows[i] = keys[at] - 1;
      ranked[i] = counts[at];
    }
    return new Ranked(rows, ranked);
  }
}
