package io.engram4j;

import java.util.List;
import java.util.Objects;

/**
 * All that continuing a sequence needs, small enough to keep beside a prefix cache: how many tokens
 * there were, the last compressed ids, and what the short convolutions remember. Immutable.
 */
public final class SequenceSnapshot {
  private final int length;
  private final int[] lastIds;
  private final List<float[]> convWindows;

  SequenceSnapshot(int length, int[] lastIds, List<float[]> convWindows) {
    this.length = length;
    this.lastIds = lastIds;
    this.convWindows = List.copyOf(convWindows);
  }

  /**
   * Rebuilds a snapshot that was stored elsewhere.
   *
   * @param length number of tokens so far
   * @param lastIds the last {@code min(length, maxNgram - 1)} compressed ids, oldest first, -1 for
   *     a dead one; copied
   */
  public static SequenceSnapshot of(int length, int[] lastIds) {
    return new SequenceSnapshot(length, lastIds.clone(), List.of());
  }

  /** Returns the number of tokens so far. */
  public int length() {
    return length;
  }

  /** Returns the last compressed ids, oldest first, -1 for a dead one. */
  public int[] lastIds() {
    return lastIds.clone();
  }

  List<float[]> convWindows() {
    return Objects.requireNonNull(convWindows);
  }
}
