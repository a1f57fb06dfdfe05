package io.engram4j.train.table;

/**
 * How a trainable table keeps its elements. State is float32 in either.
 *
 * <p>bf16 rounds each change stochastically, by noise that depends on seed, step, row and element
 * alone, so that small changes are not lost and the same training gives the same bits.
 */
public enum RowFormat {
  F32(4),
  BF16(2);

  private final int bytes;

  RowFormat(int bytes) {
    this.bytes = bytes;
  }

  /** Returns the bytes of an element. */
  public int bytes() {
    return bytes;
  }
}
