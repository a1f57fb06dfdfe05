package io.engram4j.kernel.java;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_SHORT_UNALIGNED;

import io.engram4j.format.Bfloat16;
import io.engram4j.format.E4m3;
import io.engram4j.format.E8m0;
import io.engram4j.model.Dtype;
import io.engram4j.table.RowType;
import io.engram4j.table.Shard;
import io.engram4j.table.Table;
import java.lang.foreign.MemorySegment;
import java.util.EnumMap;
import java.util.Map;
import java.util.Objects;

/** The decoders of plain Java: one per {@link RowType}, for rows of tables and for weights. */
public final class JavaRows {
  private static final Map<RowType, Row> ROWS = new EnumMap<>(RowType.class);
  private static final Map<RowType, Weights> WEIGHTS = new EnumMap<>(RowType.class);

  static {
    for (RowType type : RowType.values()) {
      ROWS.put(type, makeRow(type));
      if (type.isWeight()) {
        WEIGHTS.put(type, makeWeights(type));
      }
    }
  }

  private JavaRows() {}

  /** Gives the elements of a table's rows. */
  @FunctionalInterface
  interface Element {
    /**
     * Returns element {@code k} of the row whose parts begin at these bytes of a shard.
     *
     * @param weight of the elements
     * @param scale of the scales, if there are any
     * @param bias of the biases, if there are any
     */
    float get(Table table, Shard shard, long weight, long scale, long bias, int k);
  }

  /** Widens a table's row. */
  @FunctionalInterface
  public interface Row {
    /** Writes row {@code row} to {@code out} from the byte {@code at} on. */
    void decode(Table table, long row, MemorySegment out, long at, Dtype outType);
  }

  /** Widens weights, without scales beside. */
  @FunctionalInterface
  public interface Weights {
    /**
     * Writes {@code count} weights, from the {@code first} one of a row on, to {@code to}.
     *
     * @param row the byte at which the row begins
     */
    void decode(MemorySegment weight, long row, int first, int count, double[] to, int toFirst);
  }

  /** Returns what widens a type's rows. */
  public static Row row(RowType type) {
    return Objects.requireNonNull(ROWS.get(type));
  }

  /**
   * Returns what widens a type's weights.
   *
   * @throws IllegalArgumentException if weights are not of the type
   */
  public static Weights weights(RowType type) {
    Weights weights = WEIGHTS.get(type);
    if (weights == null) {
      throw new IllegalArgumentException("weights are not " + type);
    }
    return weights;
  }

  private static Row makeRow(RowType type) {
    return switch (type) {
      case F32 -> JavaRows::f32Row;
      case BF16 -> JavaRows::bf16Row;
      case F16 -> JavaRows::f16Row;
      case F8_E4M3 -> JavaRows::e4m3Row;
      case F8_E4M3_TENSOR -> of(JavaRows::e4m3Tensor);
      case F4_E2M1 -> of(JavaRows::e2m1);
      case AFFINE4_64, AFFINE4_32 -> of(JavaRows::affine4);
      case Q8_0,
          Q4_0,
          Q4_1,
          Q5_0,
          Q5_1,
          IQ4_NL,
          MXFP4,
          NVFP4,
          Q1_0,
          Q2_0,
          Q2_K,
          Q3_K,
          Q4_K,
          Q5_K,
          Q6_K,
          IQ4_XS ->
          blocks(type);
    };
  }

  private static Weights makeWeights(RowType type) {
    return switch (type) {
      case F32 -> of(4, (data, at) -> data.get(JAVA_FLOAT_UNALIGNED, at));
      case BF16 -> of(2, (data, at) -> Bfloat16.toFloat(data.get(JAVA_SHORT_UNALIGNED, at)));
      case F16 -> of(2, (data, at) -> Float.float16ToFloat(data.get(JAVA_SHORT_UNALIGNED, at)));
      case F8_E4M3 -> of(1, (data, at) -> E4m3.toFloat(data.get(JAVA_BYTE, at)));
      default -> blockWeights(type);
    };
  }

  private static Row of(Element element) {
    return (table, row, out, at, outType) -> {
      Shard shard = table.shardOf(row);
      long own = row - shard.first();
      long weight = own * table.weightStride();
      long scale = own * table.scaleStride();
      long bias = own * table.biasStride();
      for (int k = 0; k < table.headDim(); k++) {
        write(out, at, k, element.get(table, shard, weight, scale, bias, k), outType);
      }
    };
  }

  private static Row blocks(RowType type) {
    JavaBlocks.Block block = JavaBlocks.of(type);
    int elements = type.blockElements();
    int bytes = type.blockBytes();
    return (table, row, out, at, outType) -> {
      Shard shard = table.shardOf(row);
      long from = (row - shard.first()) * table.weightStride();
      for (int k = 0; k < table.headDim(); k++) {
        long b = from + (long) (k / elements) * bytes;
        write(out, at, k, block.element(shard.weight(), b, k % elements), outType);
      }
    };
  }

  private static Weights blockWeights(RowType type) {
    JavaBlocks.Block block = JavaBlocks.of(type);
    int elements = type.blockElements();
    int bytes = type.blockBytes();
    return (weight, row, first, count, to, toFirst) -> {
      for (int k = first; k < first + count; k++) {
        long b = row + (long) (k / elements) * bytes;
        to[toFirst + k - first] = block.element(weight, b, k % elements);
      }
    };
  }

  /** Gives a number that has a place of its own. */
  @FunctionalInterface
  private interface Reading {
    float get(MemorySegment data, long at);
  }

  private static Weights of(int bytes, Reading number) {
    return (weight, row, first, count, to, toFirst) -> {
      for (int k = first; k < first + count; k++) {
        to[toFirst + k - first] = number.get(weight, row + (long) bytes * k);
      }
    };
  }

  private static void f32Row(Table table, long row, MemorySegment out, long at, Dtype outType) {
    Shard shard = table.shardOf(row);
    long from = (row - shard.first()) * table.weightStride();
    if (outType == Dtype.F32) {
      MemorySegment.copy(shard.weight(), from, out, at, 4L * table.headDim());
      return;
    }
    for (int k = 0; k < table.headDim(); k++) {
      write(out, at, k, shard.weight().get(JAVA_FLOAT_UNALIGNED, from + 4L * k), outType);
    }
  }

  private static void bf16Row(Table table, long row, MemorySegment out, long at, Dtype outType) {
    Shard shard = table.shardOf(row);
    long from = (row - shard.first()) * table.weightStride();
    for (int k = 0; k < table.headDim(); k++) {
      short bits = shard.weight().get(JAVA_SHORT_UNALIGNED, from + 2L * k);
      write(out, at, k, Bfloat16.toFloat(bits), outType);
    }
  }

  private static void f16Row(Table table, long row, MemorySegment out, long at, Dtype outType) {
    Shard shard = table.shardOf(row);
    long from = (row - shard.first()) * table.weightStride();
    for (int k = 0; k < table.headDim(); k++) {
      short bits = shard.weight().get(JAVA_SHORT_UNALIGNED, from + 2L * k);
      write(out, at, k, Float.float16ToFloat(bits), outType);
    }
  }

  private static void e4m3Row(Table table, long row, MemorySegment out, long at, Dtype outType) {
    int headDim = table.headDim();
    int size = table.type().blockElements();
    Shard shard = table.shardOf(row);
    MemorySegment weight = shard.weight();
    MemorySegment scales = scales(shard);
    long codes = (row - shard.first()) * table.weightStride();
    long firstScale = (row - shard.first()) * table.scaleStride();
    for (int block = 0; block * size < headDim; block++) {
      float scale = E8m0.toFloat(scales.get(JAVA_BYTE, firstScale + block));
      int end = Math.min(headDim, (block + 1) * size);
      for (int k = block * size; k < end; k++) {
        write(out, at, k, E4m3.toFloat(weight.get(JAVA_BYTE, codes + k)) * scale, outType);
      }
    }
  }

  private static float e4m3Tensor(
      Table table, Shard shard, long weight, long scale, long bias, int k) {
    return Bfloat16.round(E4m3.toFloat(shard.weight().get(JAVA_BYTE, weight + k)) * table.factor());
  }

  private static int nibble(Shard shard, long weight, int k) {
    return (shard.weight().get(JAVA_BYTE, weight + k / 2) >> (4 * (k % 2))) & 15;
  }

  private static float e2m1(Table table, Shard shard, long weight, long scale, long bias, int k) {
    float value = 0.5f * JavaBlocks.e2m1Doubled(nibble(shard, weight, k));
    float own = E4m3.toFloat(scales(shard).get(JAVA_BYTE, scale + k / 16));
    return Bfloat16.round(value * own * table.factor());
  }

  private static float affine4(
      Table table, Shard shard, long weight, long scale, long bias, int k) {
    long at = 2L * (k / table.type().blockElements());
    float factor = Bfloat16.toFloat(scales(shard).get(JAVA_SHORT_UNALIGNED, scale + at));
    MemorySegment biases = Objects.requireNonNull(shard.bias());
    float added = Bfloat16.toFloat(biases.get(JAVA_SHORT_UNALIGNED, bias + at));
    float value = Bfloat16.round(nibble(shard, weight, k) * factor + added);
    return table.factor() == 1 ? value : Bfloat16.round(value * table.factor());
  }

  private static MemorySegment scales(Shard shard) {
    return Objects.requireNonNull(shard.scale());
  }

  private static void write(MemorySegment out, long at, int k, float value, Dtype type) {
    if (type == Dtype.F32) {
      out.set(JAVA_FLOAT_UNALIGNED, at + 4L * k, value);
    } else {
      out.set(JAVA_SHORT_UNALIGNED, at + 2L * k, Bfloat16.fromFloat(value));
    }
  }
}
