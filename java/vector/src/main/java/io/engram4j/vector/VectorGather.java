package io.engram4j.vector;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_LONG_UNALIGNED;

import io.engram4j.kernel.Backend;
import io.engram4j.model.Dtype;
import io.engram4j.table.RowType;
import io.engram4j.table.Table;
import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;

/**
 * Gather of fp8 rows. As in C, the misses of a token's rows are issued together before any row is
 * decoded; one multiplication by its scale gives each element. Rows with a NaN code or a scale
 * above 2^119, and rows as bf16 or on the heap, are plain Java's. A block is one load: each access
 * is checked, and with two loads a block the checks took a third of the time.
 */
final class VectorGather implements Backend.Gather {
  private static final int BURST = 24;
  private static final int LINE = 64;
  private static final int BLOCK = RowType.F8_E4M3.blockElements();

  private final Table table;
  private final Backend.Gather plain;

  VectorGather(Table table, Backend.Gather plain) {
    this.table = table;
    this.plain = plain;
  }

  static boolean fits(Table table) {
    return table.type() == RowType.F8_E4M3
        && table.headDim() % BLOCK == 0
        && table.shards().size() == 1 // no published fp8 table is cut into shards
        && table.weight().isNative()
        && table.scale().isNative();
  }

  @Override
  public void run(MemorySegment rowIds, long count, MemorySegment out, Dtype outType) {
    if (outType != Dtype.F32 || !rowIds.isNative() || !out.isNative()) {
      plain.run(rowIds, count, out, outType);
      return;
    }
    long rowBytes = 4L * table.headDim();
    for (long first = 0; first < count; first += BURST) {
      long some = Math.min(BURST, count - first);
      burst(rowIds, first, some, out, first * rowBytes);
    }
  }

  private void burst(MemorySegment rowIds, long first, long count, MemorySegment out, long to) {
    int headDim = table.headDim();
    MemorySegment weight = table.weight();
    MemorySegment scale = table.scale();
    for (long i = first; i < first + count; i++) {
      table.check(rowIds.getAtIndex(JAVA_LONG_UNALIGNED, i));
    }
    if (touch(weight, table.weightStride(), headDim, rowIds, first, count)
            + touch(scale, table.scaleStride(), headDim / BLOCK, rowIds, first, count)
        == Long.MIN_VALUE) { // never, but the compiler does not know and keeps the loads
      throw new AssertionError();
    }
    for (long i = 0; i < count; i++) {
      long row = rowIds.getAtIndex(JAVA_LONG_UNALIGNED, first + i);
      long own = to + 4L * headDim * i;
      if (row < 0) {
        out.asSlice(own, 4L * headDim).fill((byte) 0);
      } else if (!decode(
          weight,
          row * table.weightStride(),
          scale,
          row * table.scaleStride(),
          headDim,
          out,
          own)) {
        plain.run(rowIds.asSlice(8 * (first + i), 8), 1, out.asSlice(own), Dtype.F32);
      }
    }
  }

  /**
   * Loads every line of some rows. A line of all rows before the next line of any: with a row's
   * lines in an inner loop the instructions between two misses were so many that a core had few
   * misses under way.
   */
  private static long touch(
      MemorySegment data, long stride, int bytes, MemorySegment rowIds, long first, long count) {
    MemorySegment rows = Vectors.offHeap(data);
    MemorySegment ids = Vectors.offHeap(rowIds);
    long sum = 0;
    for (int line = 0; line < bytes + LINE - 1; line += LINE) {
      long at = Math.min(line, bytes - 1);
      for (long i = first; i < first + count; i++) {
        long row = ids.getAtIndex(JAVA_LONG_UNALIGNED, i);
        if (row >= 0) {
          sum += rows.get(JAVA_BYTE, row * stride + at);
        }
      }
    }
    return sum;
  }

  /** Decodes a row; returns false if there are NaN codes or large scales in it. */
  private static boolean decode(
      MemorySegment weight,
      long codes,
      MemorySegment scale,
      long scales,
      int headDim,
      MemorySegment out,
      long to) {
    MemorySegment in = Vectors.offHeap(weight);
    MemorySegment factors = Vectors.offHeap(scale);
    MemorySegment floats = Vectors.offHeap(out);
    int strange = 0;
    ByteVector seen = ByteVector.zero(Vectors.TILE);
    for (int block = 0; block < headDim / BLOCK; block++) {
      int exponent = (factors.get(JAVA_BYTE, scales + block) & 0xff) + Vectors.CODES_DIVIDED;
      strange |= 254 - exponent;
      FloatVector factor = FloatVector.broadcast(Vectors.F, Float.intBitsToFloat(exponent << 23));
      int from = BLOCK * block;
      ByteVector code =
          ByteVector.fromMemorySegment(Vectors.TILE, in, codes + from, Vectors.LITTLE);
      seen = seen.max(code.and((byte) 0x7f));
      for (int part = 0; part < Vectors.PARTS; part++) {
        Vectors.codes(code, in, codes + from, part)
            .mul(factor)
            .intoMemorySegment(floats, to + 4L * (from + part * Vectors.LANES), Vectors.LITTLE);
      }
    }
    return strange >= 0 && seen.reduceLanes(VectorOperators.MAX) != 0x7f;
  }
}
