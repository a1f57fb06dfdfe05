package io.engram4j.train.model;

/**
 * Sequences of equal length, one after the other.
 *
 * @param sequences how many
 * @param length tokens of each
 * @param ids [sequences * length]
 * @param targets [sequences * length]: the id that follows, or -1 where none is asked for
 * @param start [sequences * length]: the first token of each token's document; attention and
 *     look-back end there
 * @param live [sequences * length]: whether a token has memory
 */
@SuppressWarnings("ArrayRecordComponent") // views, never compared or hashed
public record Batch(
    int sequences, int length, int[] ids, int[] targets, int[] start, boolean[] live) {
  public Batch {
    int tokens = Math.multiplyExact(sequences, length);
    if (ids.length != tokens
        || targets.length != tokens
        || start.length != tokens
        || live.length != tokens) {
      throw new IllegalArgumentException(
          sequences
              + " sequences of "
              + length
              + " have arrays of "
              + ids.length
              + ", "
              + targets.length
              + ", "
              + start.length
              + " and "
              + live.length);
    }
    for (int i = 0; i < tokens; i++) {
      if (start[i] > i || start[i] < i / length * length) {
        throw new IllegalArgumentException("token " + i + " has its document begin at " + start[i]);
      }
    }
  }

  /** Returns how many tokens there are. */
  public int tokens() {
    return ids.length;
  }

  /** Returns some of the sequences, copied. */
  public Batch part(int first, int count) {
    int from = first * length;
    int to = from + count * length;
    int[] starts = java.util.Arrays.copyOfRange(start, from, to);
    for (int i = 0; i < starts.length; i++) {
      starts[i] -= from;
    }
    return new Batch(
        count,
        length,
        java.util.Arrays.copyOfRange(ids, from, to),
        java.util.Arrays.copyOfRange(targets, from, to),
        starts,
        java.util.Arrays.copyOfRange(live, from, to));
  }

  /** Returns the same tokens with memory or without. */
  public Batch withMemory(boolean on) {
    boolean[] all = new boolean[live.length];
    java.util.Arrays.fill(all, on);
    return new Batch(sequences, length, ids, targets, start, all);
  }

  /** Returns how many targets there are. */
  public int targetCount() {
    int count = 0;
    for (int target : targets) {
      if (target >= 0) {
        count++;
      }
    }
    return count;
  }
}
