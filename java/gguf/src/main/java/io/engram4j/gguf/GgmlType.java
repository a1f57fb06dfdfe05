package io.engram4j.gguf;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * The types of tensors that ggml knows: elements come in blocks of so many, which take so many
 * bytes. Files have tensors of more types than anybody needs to read of them.
 */
public enum GgmlType {
  F32(0, 1, 4),
  F16(1, 1, 2),
  Q4_0(2, 32, 18),
  Q4_1(3, 32, 20),
  Q5_0(6, 32, 22),
  Q5_1(7, 32, 24),
  Q8_0(8, 32, 34),
  Q8_1(9, 32, 36),
  Q2_K(10, 256, 84),
  Q3_K(11, 256, 110),
  Q4_K(12, 256, 144),
  Q5_K(13, 256, 176),
  Q6_K(14, 256, 210),
  Q8_K(15, 256, 292),
  IQ2_XXS(16, 256, 66),
  IQ2_XS(17, 256, 74),
  IQ3_XXS(18, 256, 98),
  IQ1_S(19, 256, 50),
  IQ4_NL(20, 32, 18),
  IQ3_S(21, 256, 110),
  IQ2_S(22, 256, 82),
  IQ4_XS(23, 256, 136),
  I8(24, 1, 1),
  I16(25, 1, 2),
  I32(26, 1, 4),
  I64(27, 1, 8),
  F64(28, 1, 8),
  IQ1_M(29, 256, 56),
  BF16(30, 1, 2),
  TQ1_0(34, 256, 54),
  TQ2_0(35, 256, 66),
  MXFP4(39, 32, 17),
  NVFP4(40, 64, 36),
  Q1_0(41, 128, 18),
  Q2_0(42, 64, 18);

  private static final GgmlType[] ALL = values();

  private final int id;
  private final int blockElements;
  private final int blockBytes;

  GgmlType(int id, int blockElements, int blockBytes) {
    this.id = id;
    this.blockElements = blockElements;
    this.blockBytes = blockBytes;
  }

  /** Returns the type with a number in files, or null if it is none of these. */
  public static @Nullable GgmlType ofId(int id) {
    return Arrays.stream(ALL).filter(type -> type.id == id).findFirst().orElse(null);
  }

  /** Returns its number in files. */
  public int id() {
    return id;
  }

  /** Returns the elements of a block. */
  public int blockElements() {
    return blockElements;
  }

  /** Returns the bytes of a block. */
  public int blockBytes() {
    return blockBytes;
  }

  /** Returns a name for a number that is none of these, for messages. */
  static String nameOf(int id) {
    return switch (id) {
      case 4, 5, 31, 32, 33, 36, 37, 38 -> id + ", which ggml has removed";
      default -> id >= 97 && id < 400 ? id + ", one of ik_llama.cpp's own" : "" + id;
    };
  }
}
