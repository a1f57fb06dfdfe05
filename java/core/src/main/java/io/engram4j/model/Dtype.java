package io.engram4j.model;

import io.engram4j.format.Bfloat16;
import io.engram4j.format.E4m3;
import io.engram4j.format.E8m0;

/** Element types of tensors, under the names that safetensors gives them. */
public enum Dtype {
  /** One byte, 0 or 1. */
  BOOL(1),
  /** Signed 32-bit integer. */
  I32(4),
  /** Signed 64-bit integer. */
  I64(8),
  /** 8-bit float, 4 exponent and 3 fraction bits, no infinities ({@link E4m3}). */
  F8_E4M3(1),
  /** 8-bit power of two, the scale of a block ({@link E8m0}). */
  F8_E8M0(1),
  /** IEEE half precision. */
  F16(2),
  /** The upper half of a float ({@link Bfloat16}). */
  BF16(2),
  /** IEEE single precision. */
  F32(4),
  /** IEEE double precision. */
  F64(8);

  private final int bytes;

  Dtype(int bytes) {
    this.bytes = bytes;
  }

  /** Returns the size of one element in bytes. */
  public int bytes() {
    return bytes;
  }
}
