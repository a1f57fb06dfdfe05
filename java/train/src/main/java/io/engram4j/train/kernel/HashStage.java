package io.engram4j.train.kernel;

import io.engram4j.kernel.java.JavaHash;
import io.engram4j.model.LayerLayout;
import java.lang.foreign.MemorySegment;

/**
 * Row ids of tokens that lie in packed documents (docs/spec.md, section 5): the look-back ends
 * where a token's document begins. Immutable and thread-safe.
 *
 * @param layout of one layer
 * @param map compressed id of each token id
 * @param pad compressed id of the padding
 */
@SuppressWarnings("ArrayRecordComponent") // views, never compared or hashed
public record HashStage(LayerLayout layout, int[] map, int pad) {
  /**
   * Writes the row ids.
   *
   * @param ids [tokens]
   * @param start [tokens]: the first token of each token's document
   * @param rows [tokens, columns], written
   */
  public void forward(int[] ids, int[] start, int tokens, long[] rows) {
    int longest = layout.maxNgram();
    int[] windows = new int[tokens * longest];
    for (int token = 0; token < tokens; token++) {
      for (int shift = 0; shift < longest; shift++) {
        int from = token - shift;
        windows[token * longest + shift] = from >= start[token] ? map[ids[from]] : pad;
      }
    }
    JavaHash.hash(layout, MemorySegment.ofArray(windows), tokens, MemorySegment.ofArray(rows));
  }
}
