package io.engram4j;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT_UNALIGNED;

import io.engram4j.memo.NgramSeed;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;

/**
 * Counts the n-grams of a corpus, of two ids up to the model's longest, to learn which of them a
 * memo should begin with. Takes memory for some millions of n-grams: when there are more, the rarer
 * half is dropped, so that counts become lower bounds. One owner at a time.
 */
public final class NgramCounter {
  private static final int CHUNK = 4096;

  private final EngramModel model;
  private final EngramBatch batch;
  private final int maxNgram;
  private final int mostPlaces;
  private int[] keys; // [places, maxNgram], newest first, -1 after the oldest
  private int[] counts; // 0 for an empty place: open addressing, as a corpus has millions
  private int distinct;
  private long total;

  /** Counts for a model, which may be one that only hashes. */
  public NgramCounter(EngramModel model) {
    this(model, 1 << 24);
  }

  NgramCounter(EngramModel model, int mostPlaces) {
    this.model = model;
    this.batch = model.newBatch();
    this.maxNgram = model.config().maxNgram();
    this.mostPlaces = mostPlaces;
    this.keys = new int[256 * maxNgram];
    this.counts = new int[256];
  }

  /**
   * Counts the n-grams of a text, which is a sequence of its own.
   *
   * @throws IndexOutOfBoundsException if an id is not in the vocabulary; then nothing is counted
   */
  public void add(int[] tokenIds) {
    EngramSequence sequence = model.newSequence();
    sequence.append(tokenIds);
    int[] key = new int[maxNgram];
    for (int from = 0; from < tokenIds.length; from += CHUNK) {
      int some = Math.min(CHUNK, tokenIds.length - from);
      batch.clear().add(sequence, from, some);
      MemorySegment windows = batch.windows();
      for (int token = 0; token < some; token++) {
        if (batch.mask().get(JAVA_BYTE, token) != 0) {
          addWindow(windows.asSlice(4L * token * maxNgram), key);
        }
      }
    }
    batch.clear();
  }

  private void addWindow(MemorySegment window, int[] key) {
    for (int length = 2; length <= maxNgram; length++) {
      Arrays.fill(key, -1);
      for (int i = 0; i < length; i++) {
        key[i] = window.getAtIndex(JAVA_INT_UNALIGNED, i);
      }
      total++;
      int place = place(key, 0);
      if (counts[place] == 0) {
        if (distinct == counts.length / 2) {
          makeRoom();
          place = place(key, 0);
        }
        System.arraycopy(key, 0, keys, place * maxNgram, maxNgram);
        distinct++;
      }
      counts[place] += counts[place] < Integer.MAX_VALUE ? 1 : 0;
    }
  }

  /** Returns where an n-gram is, or the empty place where it belongs. */
  private int place(int[] from, int at) {
    long hash = 0;
    for (int i = 0; i < maxNgram; i++) {
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
    int key = place * maxNgram;
    return Arrays.equals(keys, key, key + maxNgram, from, at, at + maxNgram);
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
    keys = new int[places * maxNgram];
    counts = new int[places];
    distinct = 0;
    for (int old = 0; old < oldCounts.length; old++) {
      if (oldCounts[old] > rare) {
        int place = place(oldKeys, old * maxNgram);
        System.arraycopy(oldKeys, old * maxNgram, keys, place * maxNgram, maxNgram);
        counts[place] = oldCounts[old];
        distinct++;
      }
    }
  }

  /** Returns how many different n-grams are counted. */
  public int distinct() {
    return distinct;
  }

  /** Returns how many n-grams came, repeated ones as often as they did. */
  public long total() {
    return total;
  }

  /**
   * Returns how often the most frequent n-grams came.
   *
   * @param most of them
   */
  public long served(int most) {
    long sum = 0;
    int[] sorted = counts.clone();
    Arrays.sort(sorted);
    for (int i = 1; i <= Math.min(most, distinct); i++) {
      sum += sorted[sorted.length - i];
    }
    return sum;
  }

  /**
   * Returns the n-grams that came most often.
   *
   * @param most at most so many
   */
  public NgramSeed seed(int most) {
    long[] order = new long[distinct]; // count, then place: sorts as longs
    int n = 0;
    for (int place = 0; place < counts.length; place++) {
      if (counts[place] != 0) {
        order[n++] = ((long) (Integer.MAX_VALUE - counts[place]) << 32) | place;
      }
    }
    Arrays.sort(order);
    int[] ids = new int[Math.min(most, n) * maxNgram];
    for (int i = 0; i < ids.length / maxNgram; i++) {
      System.arraycopy(keys, (int) order[i] * maxNgram, ids, i * maxNgram, maxNgram);
    }
    return new NgramSeed(maxNgram, model.map().distinct(), ids);
  }
}
