package io.engram4j.model;

import java.lang.foreign.MemorySegment;

/**
 * Sees what each stage of a layer's {@code apply} made, block by block. For looking at gates, for
 * timing, and for comparing with another engine; it costs two clock reads per stage and block.
 */
public interface StageListener {
  /**
   * Called after a stage.
   *
   * @param stage HASH, GATHER, PROJECT, GATE or CONV
   * @param first the block's first token, counted from the batch's first
   * @param tokens number of tokens in the block
   * @param data what the stage made, valid during the call: row ids int64 [tokens, columns], rows
   *     float32 [tokens, columns * headDim], key and value float32 [tokens, (branches + 1) *
   *     hiddenSize], gates float32 [tokens, branches], delta float32 [tokens, branches *
   *     hiddenSize]
   * @param nanos how long the stage took
   */
  void after(Stage stage, int first, int tokens, MemorySegment data, long nanos);
}
