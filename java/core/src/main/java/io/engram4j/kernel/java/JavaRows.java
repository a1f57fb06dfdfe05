package io.engram4j.kernel.java;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_SHORT_UNALIGNED;

import io.engram4j.format.Bfloat16;
import io.engram4j.format.E4m3;
import io.engram4j.format.E8m0;
import io.engram4j.model.Dtype;
import io.engram4j.table.RowType;
import io.engram4j.table.Table;
import java.lang.foreign.MemorySegment;

/** The decoders of plain Java: one per {@link RowType}, for rows of tables and for weights. */
public final class JavaRows {
  private JavaRows() {}

  /** Widens a table's row. */
  @FunctionalInterface
  public interface Row {
    /** Writes row {@code row} to {@code out} from the byte {@code at} on. */
    void decode(Table table, long row, MemorySegment out, long at, Dtype outType);
  }

  /** Widens weights, without their scale. */
  @FunctionalInterface
  public interface Weights {
    /** Writes {@code count} weights, from the byte {@code at} on, to {@code to}. */
    void decode(MemorySegment weight, long at, int count, double[] to, int first);
  }

  /** Returns what widens a type's rows. */
  public static Row row(RowType type) {
    return switch (type) {
      case F32 -> JavaRows::f32Row;
      case BF16 -> JavaRows::bf16Row;
      case F16 -> JavaRows::f16Row;
      case F8_E4M3 -> JavaRows::e4m3Row;
    };
  }

  /** Returns what widens a type's weights. */
  public static Weights weights(RowType type) {
    return switch (type) {
      case F32 -> JavaRows::f32Weights;
      case BF16 -> JavaRows::bf16Weights;
      case F8_E4M3 -> JavaRows::e4m3Weights;
      case F16 -> throw new IllegalArgumentException("weights are not " + type);
    };
  }

  private static void e4m3Row(Table table, long row, MemorySegment out, long at, Dtype outType) {
    int headDim = table.headDim();
    int size = table.type().blockElements();
    MemorySegment weight = table.weight();
    MemorySegment scales = table.scale();
    long codes = row * table.weightStride();
    long firstScale = row * table.scaleStride();
    for (int block = 0; block * size < headDim; block++) {
      float scale = E8m0.toFloat(scales.get(JAVA_BYTE, firstScale + block));
      int end = Math.min(headDim, (block + 1) * size);
      for (int k = block * size; k < end; k++) {
        write(out, at, k, E4m3.toFloat(weight.get(JAVA_BYTE, codes + k)) * scale, outType);
      }
    }
  }

  private static void f32Row(Table table, long row, MemorySegment out, long at, Dtype outType) {
    long from = row * table.weightStride();
    if (outType == Dtype.F32) {
      MemorySegment.copy(table.weight(), from, out, at, 4L * table.headDim());
      return;
    }
    for (int k = 0; k < table.headDim(); k++) {
      write(out, at, k, table.weight().get(JAVA_FLOAT_UNALIGNED, from + 4L * k), outType);
    }
  }

  private static void bf16Row(Table table, long row, MemorySegment out, long at, Dtype outType) {
    long from = row * table.weightStride();
    for (int k = 0; k < table.headDim(); k++) {
      short bits = table.weight().get(JAVA_SHORT_UNALIGNED, from + 2L * k);
      write(out, at, k, Bfloat16.toFloat(bits), outType);
    }
  }

  private static void f16Row(Table table, long row, MemorySegment out, long at, Dtype outType) {
    long from = row * table.weightStride();
    for (int k = 0; k < table.headDim(); k++) {
      short bits = table.weight().get(JAVA_SHORT_UNALIGNED, from + 2L * k);
      write(out, at, k, Float.float16ToFloat(bits), outType);
    }
  }

  private static void write(MemorySegment out, long at, int k, float value, Dtype type) {
    if (type == Dtype.F32) {
      out.set(JAVA_FLOAT_UNALIGNED, at + 4L * k, value);
    } else {
      out.set(JAVA_SHORT_UNALIGNED, at + 2L * k, Bfloat16.fromFloat(value));
    }
  }

  private static void f32Weights(MemorySegment weight, long at, int count, double[] to, int first) {
    for (int k = 0; k < count; k++) {
      to[first + k] = weight.get(JAVA_FLOAT_UNALIGNED, at + 4L * k);
    }
  }

  private static void bf16Weights(
      MemorySegment weight, long at, int count, double[] to, int first) {
    for (int k = 0; k < count; k++) {
      to[first + k] = Bfloat16.toFloat(weight.get(JAVA_SHORT_UNALIGNED, at + 2L * k));
    }
  }

  private static void e4m3Weights(
      MemorySegment weight, long at, int count, double[] to, int first) {
    for (int k = 0; k < count; k++) {
      to[first + k] = E4m3.toFloat(weight.get(JAVA_BYTE, at + k));
    }
  }
}
