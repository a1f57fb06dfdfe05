package io.engram4j.vector;

import static io.engram4j.vector.Vectors.ALL;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_LONG_UNALIGNED;

import io.engram4j.kernel.Backend;
import io.engram4j.model.Dtype;
import io.engram4j.table.RowType;
import io.engram4j.table.Table;
import java.lang.foreign.MemorySegment;
import java.lang.ref.Reference;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;

/**
 * Gather of fp8 rows. As in C, the misses of a token's rows are issued together before any row is
 * decoded; one multiplication by its scale gives each element. Rows with a NaN code or a scale
 * above 2^119, and rows as bf16 or on the heap, are plain Java's.
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
        && table.weight().isNative()
        && table.scale().isNative();
  }

  @Override
  public void run(MemorySegment rowIds, long count, MemorySegment out, Dtype outType) {
    if (outType != Dtype.F32 || !rowIds.isNative() || !out.isNative()) {
      plain.run(rowIds, count, out, outType);
      return;
    }
    if (count == 0) {
      return;
    }
    long ids = Vectors.address(rowIds, "row ids");
    long to = Vectors.address(out, "rows");
    Vectors.address(table.weight(), table.name());
    Vectors.address(table.scale(), table.name());
    long rowBytes = 4L * table.headDim();
    try {
      for (long first = 0; first < count; first += BURST) {
        long some = Math.min(BURST, count - first);
        burst(ids + 8 * first, some, to + first * rowBytes, rowIds, out);
      }
    } finally {
      Reference.reachabilityFence(table);
      Reference.reachabilityFence(rowIds);
      Reference.reachabilityFence(out);
    }
  }

  private void burst(long ids, long count, long to, MemorySegment rowIds, MemorySegment out) {
    int headDim = table.headDim();
    long weight = table.weight().address();
    long scale = table.scale().address();
    for (long i = 0; i < count; i++) {
      table.check(ALL.get(JAVA_LONG_UNALIGNED, ids + 8 * i));
    }
    if (touch(weight, table.weightStride(), headDim, ids, count)
            + touch(scale, table.scaleStride(), headDim / BLOCK, ids, count)
        == Long.MIN_VALUE) { // never, but the compiler does not know and keeps the loads
      throw new AssertionError();
    }
    for (long i = 0; i < count; i++) {
      long row = ALL.get(JAVA_LONG_UNALIGNED, ids + 8 * i);
      long own = to + 4L * headDim * i;
      if (row < 0) {
        ALL.asSlice(own, 4L * headDim).fill((byte) 0);
      } else if (!decode(
          weight + row * table.weightStride(), scale + row * table.scaleStride(), headDim, own)) {
        long at = ids + 8 * i - rowIds.address();
        plain.run(rowIds.asSlice(at, 8), 1, out.asSlice(own - out.address()), Dtype.F32);
      }
    }
  }

  private static long touch(long data, long stride, int bytes, long ids, long count) {
    long sum = 0;
    for (long i = 0; i < count; i++) {
      long row = ALL.get(JAVA_LONG_UNALIGNED, ids + 8 * i);
      if (row >= 0) {
        long at = data + row * stride;
        for (int line = 0; line < bytes; line += LINE) {
          sum += ALL.get(JAVA_BYTE, at + line);
        }
        sum += ALL.get(JAVA_BYTE, at + bytes - 1);
      }
    }
    return sum;
  }

  /** Decodes a row; returns false if there are NaN codes or large scales in it. */
  private static boolean decode(long codes, long scales, int headDim, long out) {
    int strange = 0;
    ByteVector seen = ByteVector.zero(Vectors.B);
    for (int block = 0; block < headDim / BLOCK; block++) {
      int exponent = (ALL.get(JAVA_BYTE, scales + block) & 0xff) + Vectors.CODES_DIVIDED;
      strange |= 254 - exponent;
      FloatVector factor = FloatVector.broadcast(Vectors.F, Float.intBitsToFloat(exponent << 23));
      for (int i = BLOCK * block; i < BLOCK * (block + 1); i += Vectors.LANES) {
        ByteVector code = ByteVector.fromMemorySegment(Vectors.B, ALL, codes + i, Vectors.LITTLE);
        seen = seen.max(code.and((byte) 0x7f));
        Vectors.codes(code).mul(factor).intoMemorySegment(ALL, out + 4L * i, Vectors.LITTLE);
      }
    }
    return strange >= 0 && seen.reduceLanes(VectorOperators.MAX) != 0x7f;
  }
}
