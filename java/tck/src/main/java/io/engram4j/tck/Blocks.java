package io.engram4j.tck;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_SHORT_UNALIGNED;

import io.engram4j.table.RowType;
import java.lang.foreign.MemorySegment;
import java.util.SplittableRandom;

/** Random blocks with scales of ordinary size, for weights whose sums are to be compared. */
final class Blocks {
  private Blocks() {}

  /** Fills whole blocks of a type that has its scales in them. */
  static void fill(RowType type, MemorySegment blocks, SplittableRandom random) {
    Cases.junk(blocks, random);
    for (long b = 0; b < blocks.byteSize(); b += type.blockBytes()) {
      for (int at : halves(type)) {
        float scale = (float) (random.nextGaussian() / 64);
        blocks.set(JAVA_SHORT_UNALIGNED, b + at, Float.floatToFloat16(scale));
      }
      if (type == RowType.MXFP4) {
        blocks.set(JAVA_BYTE, b, (byte) random.nextInt(110, 130));
      }
    }
  }

  /** Returns where a block has halves by which all of it is multiplied, or which are added. */
  private static int[] halves(RowType type) {
    return switch (type) {
      case MXFP4, NVFP4 -> new int[0];
      case Q4_1, Q5_1, Q4_K, Q5_K -> new int[] {0, 2};
      case Q2_K -> new int[] {80, 82};
      case Q3_K -> new int[] {108};
      case Q6_K -> new int[] {208};
      default -> new int[] {0};
    };
  }
}
