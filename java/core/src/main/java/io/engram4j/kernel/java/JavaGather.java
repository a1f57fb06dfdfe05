package io.engram4j.kernel.java;

import static java.lang.foreign.ValueLayout.JAVA_LONG_UNALIGNED;

import io.engram4j.model.Dtype;
import io.engram4j.table.Table;
import java.lang.foreign.MemorySegment;

/** Gather in plain Java: fetches rows by id and widens them (docs/spec.md, section 6). */
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
    JavaRows.Row decoder = JavaRows.row(table.type());
    for (long i = 0; i < count; i++) {
      long row = table.check(rowIds.getAtIndex(JAVA_LONG_UNALIGNED, i));
      if (row < 0) {
        out.asSlice(i * outRow, outRow).fill((byte) 0);
      } else {
        decoder.decode(table, row, out, i * outRow, outType);
      }
    }
  }
}
