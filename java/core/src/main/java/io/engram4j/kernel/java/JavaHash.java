package io.engram4j.kernel.java;

import static java.lang.foreign.ValueLayout.JAVA_INT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_LONG_UNALIGNED;

import io.engram4j.model.LayerLayout;
import java.lang.foreign.MemorySegment;

/** The hash in plain Java (docs/spec.md, section 5). */
public final class JavaHash {
  private JavaHash() {}

  /**
   * Writes the row ids of {@code tokens} tokens.
   *
   * @param windows int32 [tokens, maxNgram]: per token its compressed id and those before it,
   *     newest first, the pad id where the look-back is blocked
   * @param rowIds int64 [tokens, columns], offsets included
   */
  public static void hash(
      LayerLayout layout, MemorySegment windows, long tokens, MemorySegment rowIds) {
    int heads = layout.headsPerNgram();
    for (long token = 0; token < tokens; token++) {
      long window = token * layout.maxNgram();
      long roll = windows.getAtIndex(JAVA_INT_UNALIGNED, window) * layout.multiplier(0);
      int column = 0;
      for (int shift = 1; shift < layout.maxNgram(); shift++) {
        roll ^= windows.getAtIndex(JAVA_INT_UNALIGNED, window + shift) * layout.multiplier(shift);
        for (int head = 0; head < heads; head++, column++) {
          // floorMod as NumPy has it: ids outside the vocabulary can make the roll negative
          long row = Math.floorMod(roll, layout.prime(column)) + layout.offset(column);
          rowIds.setAtIndex(JAVA_LONG_UNALIGNED, token * layout.columns() + column, row);
        }
      }
    }
  }
}
