package io.engram4j.train.table;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * Which rows changed: a bit for each, in chunks that are made when a row of theirs changes first. A
 * bit lies in a cache where a hash set's slot was a miss. For one thread at a time.
 */
final class ChangedRows {
  private static final int CHUNK_BITS = 16;
  private static final int WORDS = 1 << (CHUNK_BITS - 6);

  private long[] @Nullable [] chunks = new long[16][];
  private long size;

  void add(long row) {
    int chunk = Math.toIntExact(row >>> CHUNK_BITS);
    if (chunk >= chunks.length) {
      chunks = Arrays.copyOf(chunks, Math.max(chunk + 1, 2 * chunks.length));
    }
    long[] words = chunks[chunk];
    if (words == null) {
      words = new long[WORDS];
      chunks[chunk] = words;
    }
    int word = (int) (row >>> 6) & (WORDS - 1);
    long bit = 1L << row;
    if ((words[word] & bit) == 0) {
      words[word] |= bit;
      size++;
    }
  }

  /** Returns how many there are. */
  long size() {
    return size;
  }

  /** Returns them in ascending order. */
  long[] sorted() {
    long[] rows = new long[Math.toIntExact(size)];
    int count = 0;
    for (int chunk = 0; chunk < chunks.length; chunk++) {
      long[] words = chunks[chunk];
      for (int word = 0; words != null && word < WORDS; word++) {
        for (long left = words[word]; left != 0; left &= left - 1) {
          long first = ((long) chunk << CHUNK_BITS) + 64L * word;
          rows[count++] = first + Long.numberOfTrailingZeros(left);
        }
      }
    }
    return rows;
  }

  void clear() {
    chunks = new long[16][];
    size = 0;
  }
}
