package io.engram4j.kernel.java;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_LONG_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_SHORT_UNALIGNED;

import io.engram4j.format.Bfloat16;
import io.engram4j.format.E4m3;
import io.engram4j.format.E8m0;
import io.engram4j.model.Dtype;
import io.engram4j.table.Table;
import java.lang.foreign.MemorySegment;

/** Gather in plain Java: fetches rows by id and widens them (specification, section 6). */
public final class JavaGather {
  private JavaGather() {}

  /**
   * Writes the rows of {@code count} ids one after the other.
   *
   * @param rowIds int64 [count]; -1 gives a row of zeros
   * @param out [count, headDim] of {@code outType}
   * @param outType F32, or BF16 rounded to nearest even
   * @throws IndexOutOfBoundsException at an id outside the table; rows before it are written
   */
  public static void gather(
      Table table, MemorySegment rowIds, long count, MemorySegment out, Dtype outType) {
    long outRow = (long) table.headDim() * outType.bytes();
    for (long i = 0; i < count; i++) {
      long row = table.check(rowIds.getAtIndex(JAVA_LONG_UNALIGNED, i));
      if (row < 0) {
        out.asSlice(i * outRow, outRow).fill((byte) 0);
        continue;
      }
      switch (table.dtype()) {
        case F8_E4M3 -> fp8Row(table, row, out, i * outRow, outType);
        case F32 -> f32Row(table, row, out, i * outRow, outType);
        default -> halfRow(table, row, out, i * outRow, outType);
      }
    }
  }

  private static void fp8Row(Table table, long row, MemorySegment out, long at, Dtype outType) {
    int headDim = table.headDim();
    int scales = Table.scalesPerRow(headDim);
    MemorySegment weight = table.weight();
    long codes = row * table.weightStride();
    long firstScale = row * table.scaleStride();
    for (int block = 0; block < scales; block++) {
      float scale = E8m0.toFloat(table.scale().get(JAVA_BYTE, firstScale + block));
      int end = Math.min(headDim, (block + 1) * Table.BLOCK);
      for (int k = block * Table.BLOCK; k < end; k++) {
        float value = E4m3.toFloat(weight.get(JAVA_BYTE, codes + k)) * scale;
        write(out, at, k, value, outType);
      }
    }
  }

  private static void f32Row(Table table, long row, MemorySegment out, long at, Dtype outType) {
    long bytes = 4L * table.headDim();
    if (outType == Dtype.F32) {
      MemorySegment.copy(table.weight(), row * table.weightStride(), out, at, bytes);
      return;
    }
    for (int k = 0; k < table.headDim(); k++) {
      float value = table.weight().get(JAVA_FLOAT_UNALIGNED, row * table.weightStride() + 4L * k);
      write(out, at, k, value, outType);
    }
  }

  private static void halfRow(Table table, long row, MemorySegment out, long at, Dtype outType) {
    long from = row * table.weightStride();
    boolean bf16 = table.dtype() == Dtype.BF16;
    for (int k = 0; k < table.headDim(); k++) {
      short bits = table.weight().get(JAVA_SHORT_UNALIGNED, from + 2L * k);
      float value = bf16 ? Bfloat16.toFloat(bits) : Float.float16ToFloat(bits);
      write(out, at, k, value, outType);
    }
  }

  private static void write(MemorySegment out, long at, int k, float value, Dtype type) {
    if (type == Dtype.F32) {
      out.set(JAVA_FLOAT_UNALIGNED, at + 4L * k, value);
    } else {
      out.set(JAVA_SHORT_UNALIGNED, at + 2L * k, Bfloat16.fromFloat(value));
    }
  }
}
