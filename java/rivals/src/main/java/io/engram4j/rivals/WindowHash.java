package io.engram4j.rivals;

import io.engram4j.bench.ratio.Rival;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Row ids by Java's own arithmetic, for libraries that have no exclusive or of integers. */
final class WindowHash {
  static final int COLUMNS = 24;

  final long[] multipliers;
  final long[] primes;
  final long[] offsets;

  WindowHash(Rival.Layer layer) {
    this.multipliers = longs(layer.multipliers(), 4);
    this.primes = longs(layer.primes(), COLUMNS);
    this.offsets = longs(layer.offsets(), COLUMNS);
  }

  private static long[] longs(MemorySegment from, int count) {
    return from.asSlice(0, 8L * count).toArray(ValueLayout.JAVA_LONG);
  }

  /**
   * Returns row ids [tokens, 24].
   *
   * @param windows [tokens, 4]
   * @param inTable whether they count from the table's begin, or each from its column's
   */
  long[] ids(long[] windows, boolean inTable) {
    long[] ids = new long[windows.length / 4 * COLUMNS];
    for (int token = 0; token < windows.length / 4; token++) {
      long roll = windows[4 * token] * multipliers[0];
      for (int order = 0; order < 3; order++) {
        roll ^= windows[4 * token + order + 1] * multipliers[order + 1];
        for (int column = 8 * order; column < 8 * (order + 1); column++) {
          long first = inTable ? offsets[column] : 0;
          ids[COLUMNS * token + column] = roll % primes[column] + first;
        }
      }
    }
    return ids;
  }
}
