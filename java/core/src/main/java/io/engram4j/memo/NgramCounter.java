package io.engram4j.memo;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT_UNALIGNED;

import io.engram4j.model.NgramSeed;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;

/**
 * Counts the n-grams of a corpus, of two ids up to the model's longest, to learn which of them a
 * memo should begin with. Takes memory for some millions of n-grams; see {@link KeyCounter}. One
 * owner at a time.
 */
public final class NgramCounter {
  private final int maxNgram;
  private final int distinctIds;
  private final KeyCounter counter; // keys newest first, -1 after the oldest
  private final int[] key;

  /**
   * Counts for a model.
   *
   * @param maxNgram its longest n-gram
   * @param distinctIds how many ids it hashes
   */
  public NgramCounter(int maxNgram, int distinctIds) {
    this(maxNgram, distinctIds, 1 << 24);
  }

  NgramCounter(int maxNgram, int distinctIds, int mostPlaces) {
    this.maxNgram = maxNgram;
    this.distinctIds = distinctIds;
    this.counter = new KeyCounter(maxNgram, mostPlaces);
    this.key = new int[maxNgram];
  }

  /**
   * Counts the n-grams with which tokens end.
   *
   * @param windows int32 [tokens, maxNgram], newest first, as a batch has them
   * @param mask int8 [tokens]; tokens of 0 are left out
   */
  public void add(MemorySegment windows, MemorySegment mask, int tokens) {
    for (int token = 0; token < tokens; token++) {
      if (mask.get(JAVA_BYTE, token) != 0) {
        addWindow(windows, (long) token * maxNgram);
      }
    }
  }

  private void addWindow(MemorySegment windows, long at) {
    for (int length = 2; length <= maxNgram; length++) {
      Arrays.fill(key, -1);
      for (int i = 0; i < length; i++) {
        key[i] = windows.getAtIndex(JAVA_INT_UNALIGNED, at + i);
      }
      counter.add(key);
    }
  }

  /** Returns how many different n-grams are counted. */
  public int distinct() {
    return counter.distinct();
  }

  /** Returns how many n-grams came, repeated ones as often as they did. */
  public long total() {
    return counter.total();
  }

  /** Returns how often the most frequent n-grams came, at most so many of them. */
  public long served(int most) {
    return counter.ranked(most).served(most);
  }

  /** Returns the n-grams that came most often, at most so many. */
  public NgramSeed seed(int most) {
    return new NgramSeed(maxNgram, distinctIds, counter.ranked(most).keys());
  }
}
