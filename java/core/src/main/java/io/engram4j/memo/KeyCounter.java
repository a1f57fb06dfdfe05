package io.engram4j.memo;

import java.util.Arrays;

/**
 * Counts how often keys of a few ints come: open addressing, as a corpus has millions. Takes memory
 * for so many; when there are more, the rarer half is dropped, so that counts become lower bounds.
 * One owner at a time.
 */
public final class KeyCounter {
  private final int width;
  private final int mostPlaces;
  private int[] keys; // [places, width]
  private int[] counts; // 0 for an empty place
  private int distinct;
  private long total;

  /**
   * A counter.
   *
   * @param width ints of a key
   * @param mostPlaces a power of two; half as many keys are kept at most
   */
  public KeyCounter(int width, int mostPlaces) {
    this.width = width;
    this.mostPlaces = mostPlaces;
    this.keys = new int[256 * width];
    this.counts = new int[256];
  }

  /** Counts a key. */
  public void add(int[] key) {
    total++;
    int place = place(key, 0);
    if (counts[place] == 0) {
      if (distinct == counts.length / 2) {
        makeRoom();
        place = place(key, 0);
      }
      System.arraycopy(key, 0, keys, place * width, width);
      distinct++;
    }
    counts[place] += counts[place] < Integer.MAX_VALUE ? 1 : 0;
  }

  /** Returns where a key is, or the empty place where it belongs. */
  private int place(int[] from, int at) {
    long hash = 0;
    for (int i = 0; i < width; i++) {
      hash = (hash ^ from[at + i]) * 0x9e3779b97f4a7c15L;
      hash ^= hash >>> 29;
    }
    int place = (int) hash & (counts.length - 1);
    while (counts[place] != 0 && !isAt(place, from, at)) {
      place = (place + 1) & (counts.length - 1);
    }
    return place;
  }

  private boolean isAt(int place, int[] from, int at) {
    int key = place * width;
    return Arrays.equals(keys, key, key + width, from, at, at + width);
  }

  /** Doubles the places, or, if there are as many as may be, drops what is rare. */
  private void makeRoom() {
    int[] oldKeys = keys;
    int[] oldCounts = counts;
    int rare = 0;
    if (counts.length == mostPlaces) {
      int[] sorted = counts.clone();
      Arrays.sort(sorted);
      rare = sorted[sorted.length - distinct / 2]; // at least half of them go
    }
    int places = rare == 0 ? 2 * counts.length : counts.length;
    keys = new int[places * width];
    counts = new int[places];
    distinct = 0;
    for (int old = 0; old < oldCounts.length; old++) {
      if (oldCounts[old] > rare) {
        int place = place(oldKeys, old * width);
        System.arraycopy(oldKeys, old * width, keys, place * width, width);
        counts[place] = oldCounts[old];
        distinct++;
      }
    }
  }

  /** Returns how many different keys are counted. */
  public int distinct() {
    return distinct;
  }

  /** Returns how many keys came, repeated ones as often as they did. */
  public long total() {
    return total;
  }

  /**
   * The keys that came most often, the most frequent first.
   *
   * @param keys [keys, width]
   * @param counts how often each came
   */
  @SuppressWarnings("ArrayRecordComponent") // millions of them, never compared
  public record Ranked(int[] keys, int[] counts) {
    /** Returns how often the first {@code most} keys came together. */
    public long served(int most) {
      long sum = 0;
      for (int i = 0; i < Math.min(most, counts.length); i++) {
        sum += counts[i];
      }
      return sum;
    }
  }

  /** Returns the most frequent keys, at most so many. */
  public Ranked ranked(int most) {
    long[] order = new long[distinct]; // count, then place: sorts as longs
    int n = 0;
    for (int place = 0; place < counts.length; place++) {
      if (counts[place] != 0) {
        order[n++] = ((long) (Integer.MAX_VALUE - counts[place]) << 32) | place;
      }
    }
    Arrays.sort(order);
    int kept = Math.min(most, n);
    int[] rankedKeys = new int[kept * width];
    int[] rankedCounts = new int[kept];
    for (int i = 0; i < kept; i++) {
      int place = (int) order[i];
      System.arraycopy(keys, place * width, rankedKeys, i * width, width);
      rankedCounts[i] = counts[place];
    }
    return new Ranked(rankedKeys, rankedCounts);
  }
}
