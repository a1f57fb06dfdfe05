package io.engram4j.hf;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_DOUBLE_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_INT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_LONG_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_SHORT_UNALIGNED;

import io.engram4j.format.Bfloat16;
import io.engram4j.format.E4m3;
import io.engram4j.format.E8m0;
import io.engram4j.model.Dtype;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** Reads whole tensors into arrays, for small weights and for truth files. */
public final class TensorData {
  private TensorData() {}

  /** Returns the element type of a tensor, or throws if this library has no use for it. */
  public static Dtype dtype(TensorInfo tensor) throws IOException {
    Dtype dtype = SafetensorsFile.dtype(tensor.dtype());
    if (dtype == null) {
      throw new IOException(
          tensor.file() + ": tensor " + tensor.name() + " has type " + tensor.dtype());
    }
    return dtype;
  }

  /**
   * Reads a tensor of numbers as doubles, which hold every value of every float type and every
   * integer up to 2^53.
   *
   * @throws IOException if it cannot be read or has more than 2^31 elements
   */
  public static double[] doubles(TensorInfo tensor) throws IOException {
    Dtype dtype = dtype(tensor);
    double[] values = new double[count(tensor, dtype)];
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment data = SafetensorsFile.read(tensor, arena);
      for (int i = 0; i < values.length; i++) {
        values[i] = element(data, dtype, i);
      }
    }
    return values;
  }

  /** Reads a tensor of floats; doubles are rounded. */
  public static float[] floats(TensorInfo tensor) throws IOException {
    double[] wide = doubles(tensor);
    float[] values = new float[wide.length];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) wide[i];
    }
    return values;
  }

  /**
   * Reads a tensor of integers or truth values, the latter as 0 and 1.
   *
   * @throws IOException if its elements are no integers
   */
  public static long[] longs(TensorInfo tensor) throws IOException {
    // bytes count as truth values here, whatever else U8 may stand for
    Dtype dtype = tensor.dtype().equals("U8") ? Dtype.BOOL : dtype(tensor);
    long[] values = new long[count(tensor, dtype)];
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment data = SafetensorsFile.read(tensor, arena);
      for (int i = 0; i < values.length; i++) {
        values[i] =
            switch (dtype) {
              case I64 -> data.getAtIndex(JAVA_LONG_UNALIGNED, i);
              case I32 -> data.getAtIndex(JAVA_INT_UNALIGNED, i);
              case BOOL -> data.get(JAVA_BYTE, i) == 0 ? 0 : 1;
              default ->
                  throw new IOException(
                      tensor.file()
                          + ": tensor "
                          + tensor.name()
                          + " has type "
                          + dtype
                          + ", not I64, I32 or BOOL");
            };
      }
    }
    return values;
  }

  private static int count(TensorInfo tensor, Dtype dtype) throws IOException {
    long count = tensor.bytes() / dtype.bytes();
    if (count > Integer.MAX_VALUE - 8) {
      throw new IOException(
          tensor.file()
              + ": tensor "
              + tensor.name()
              + " has "
              + count
              + " elements, too many to"
              + " read at once");
    }
    return (int) count;
  }

  private static double element(MemorySegment data, Dtype dtype, int i) {
    return switch (dtype) {
      case F64 -> data.getAtIndex(JAVA_DOUBLE_UNALIGNED, i);
      case F32 -> data.getAtIndex(JAVA_FLOAT_UNALIGNED, i);
      case BF16 -> Bfloat16.toFloat(data.getAtIndex(JAVA_SHORT_UNALIGNED, i));
      case F16 -> Float.float16ToFloat(data.getAtIndex(JAVA_SHORT_UNALIGNED, i));
      case I64 -> data.getAtIndex(JAVA_LONG_UNALIGNED, i);
      case I32 -> data.getAtIndex(JAVA_INT_UNALIGNED, i);
      case BOOL -> data.get(JAVA_BYTE, i);
      case F8_E4M3 -> E4m3.toFloat(data.get(JAVA_BYTE, i));
      case F8_E8M0 -> E8m0.toFloat(data.get(JAVA_BYTE, i));
    };
  }
}
