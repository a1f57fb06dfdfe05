package io.engram4j.memo;

import static java.lang.foreign.ValueLayout.JAVA_INT_UNALIGNED;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;

/** An n-gram as the key of a cache: its length and its ids, two numbers a long. */
final class MemoKey {
  private MemoKey() {}

  /** Returns the longs of a key. */
  static int words(int maxNgram) {
    return 1 + maxNgram / 2;
  }

  /**
   * Writes an n-gram's key.
   *
   * @param windows of which the {@code token}-th begins with the n-gram's ids, newest first
   */
  static void write(MemorySegment windows, int token, int maxNgram, int length, long[] key) {
    Arrays.fill(key, 0);
    key[0] = (long) length << 32; // not 0, so that the key is none of an empty place
    for (int i = 0; i < length; i++) {
      long id = windows.getAtIndex(JAVA_INT_UNALIGNED, (long) token * maxNgram + i) & 0xffffffffL;
      key[(i + 1) / 2] |= i % 2 == 0 && i > 0 ? id << 32 : id;
    }
  }
}
