package io.engram4j.model;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_SHORT_UNALIGNED;

import io.engram4j.format.Bfloat16;
import java.lang.foreign.MemorySegment;

/**
 * A view of hidden states, [tokens, branches, hidden size], in memory that belongs to the caller:
 * on or off the heap, float32 or bf16, with any distance between tokens and between branches.
 *
 * @param data the memory; the first token's first branch begins at its start
 * @param dtype F32 or BF16
 * @param tokenStride bytes from a token to the next
 * @param branchStride bytes from a branch to the next
 */
public record HiddenStream(MemorySegment data, Dtype dtype, long tokenStride, long branchStride) {

  public HiddenStream {
    if (dtype != Dtype.F32 && dtype != Dtype.BF16) {
      throw new IllegalArgumentException("hidden streams are F32 or BF16, not " + dtype);
    }
    if (tokenStride < 0 || branchStride < 0) {
      throw new IllegalArgumentException(
          "token stride " + tokenStride + " or branch stride " + branchStride + " is negative");
    }
  }

  /** A stream whose tokens and branches follow each other without gaps. */
  public static HiddenStream of(MemorySegment data, Dtype dtype, int branches, int hiddenSize) {
    long branch = (long) hiddenSize * dtype.bytes();
    return new HiddenStream(data, dtype, branches * branch, branch);
  }

  /** A float32 stream on the heap, without gaps; the array is written in place. */
  public static HiddenStream of(float[] data, int branches, int hiddenSize) {
    return of(MemorySegment.ofArray(data), Dtype.F32, branches, hiddenSize);
  }

  /** Returns the stream from a token on. */
  public HiddenStream from(long token) {
    return token == 0
        ? this
        : new HiddenStream(data.asSlice(token * tokenStride), dtype, tokenStride, branchStride);
  }

  /**
   * Checks that so many tokens fit, and that none lies in another: token by token, or branch by
   * branch.
   *
   * @throws IllegalArgumentException if the memory is smaller, or strides are
   */
  public void check(long tokens, int branches, int hiddenSize) {
    if (tokens == 0) {
      return;
    }
    long last =
        Math.addExact(
            Math.multiplyExact(tokens - 1, tokenStride),
            Math.multiplyExact(branches - 1L, branchStride));
    long needed = Math.addExact(last, (long) hiddenSize * dtype.bytes());
    if (data.byteSize() < needed) {
      throw new IllegalArgumentException(
          "the hidden stream holds "
              + data.byteSize()
              + " bytes, but "
              + tokens
              + " tokens of "
              + branches
              + " branches of "
              + hiddenSize
              + " elements take "
              + needed);
    }
    if (data.isReadOnly()) {
      throw new IllegalArgumentException("the hidden stream is read-only");
    }
    long row = (long) hiddenSize * dtype.bytes();
    if (!nests(branches, branchStride, tokens, tokenStride, row)
        && !nests(tokens, tokenStride, branches, branchStride, row)) {
      throw new IllegalArgumentException(
          "the hidden stream's parts overlap: a branch of "
              + hiddenSize
              + " elements takes "
              + row
              + " bytes, but branches begin "
              + branchStride
              + " bytes apart, and tokens "
              + tokenStride);
    }
  }

  /** Whether inner parts do not overlap, and outer ones hold all inner parts. */
  private static boolean nests(
      long inner, long innerStride, long outer, long outerStride, long row) {
    return (inner == 1 || innerStride >= row)
        && (outer == 1 || outerStride >= (inner - 1) * innerStride + row);
  }

  /** Returns the byte at which a token's branch begins. */
  public long at(long token, int branch) {
    return token * tokenStride + branch * branchStride;
  }

  /** Reads the element {@code index} after the byte {@code at}. */
  public float get(long at, int index) {
    return dtype == Dtype.F32
        ? data.get(JAVA_FLOAT_UNALIGNED, at + 4L * index)
        : Bfloat16.toFloat(data.get(JAVA_SHORT_UNALIGNED, at + 2L * index));
  }

  /** Writes the element {@code index} after the byte {@code at}, rounded once to nearest even. */
  public void set(long at, int index, float value) {
    if (dtype == Dtype.F32) {
      data.set(JAVA_FLOAT_UNALIGNED, at + 4L * index, value);
    } else {
      data.set(JAVA_SHORT_UNALIGNED, at + 2L * index, Bfloat16.fromFloat(value));
    }
  }
}
