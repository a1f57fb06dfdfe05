package io.engram4j.train.table;

/** From where a pass reads rows. Reading from several threads is safe while rows do not change. */
public interface RowReader {
  /**
   * Reads rows of tokens, one after the other; a token that is not live gets zeros.
   *
   * @param rows [tokens, columns]
   * @param out [tokens, columns * width], written
   * @throws IndexOutOfBoundsException if a row is not here
   */
  void gather(long[] rows, int columns, boolean[] live, int tokens, float[] out);
}
