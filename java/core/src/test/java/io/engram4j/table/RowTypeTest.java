package io.engram4j.table;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.format.Bfloat16;
import io.engram4j.kernel.java.JavaGather;
import io.engram4j.model.Dtype;
import java.lang.foreign.MemorySegment;
import java.util.HashSet;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The table of row types: its numbers fit each other and what decodes rows. */
class RowTypeTest {
  @Test
  void codesAreDistinctAndFound() {
    Set<Integer> codes = new HashSet<>();
    for (RowType type : RowType.values()) {
      assertTrue(codes.add(type.code()), "" + type);
      assertEquals(type, RowType.ofCode(type.code()));
      Dtype dtype = type.dtype();
      if (dtype != null) {
        assertEquals(type, RowType.of("rows", dtype));
      }
    }
    String message =
        assertThrows(IllegalArgumentException.class, () -> RowType.of("rows", Dtype.I64))
            .getMessage();
    assertEquals("rows has type I64, but rows are [F32, BF16, F16, F8_E4M3]", message);
    assertNull(RowType.ofCode(-1));
    assertThrows(IllegalArgumentException.class, () -> RowType.of("rows", Dtype.BOOL));
  }

  @ParameterizedTest
  @EnumSource(RowType.class)
  void bytesOfARow(RowType type) {
    for (int elements : new int[] {1, 31, 32, 33, 64, 160, 256}) {
      int blocks = (elements + type.blockElements() - 1) / type.blockElements();
      double cut = elements / (double) type.blockElements() * type.blockBytes();
      assertEquals(
          type.scales() == RowType.Scales.IN_ROW
              ? blocks * (long) type.blockBytes()
              : (long) Math.ceil(cut),
          type.elementBytes(elements));
      assertEquals(blocks * type.scaleBytes(), type.scaleBytes(elements));
      assertEquals(blocks * type.biasBytes(), type.biasBytes(elements));
      assertEquals(
          type.elementBytes(elements) + type.scaleBytes(elements) + type.biasBytes(elements),
          type.rowBytes(elements));
    }
    assertEquals(type.hasScalesBeside(), type.scaleBytes() > 0);
  }

  /** Rows of random bits: as bf16 they are the same if the type says so, and not all if not. */
  @ParameterizedTest
  @EnumSource(RowType.class)
  void exactInBf16(RowType type) {
    int headDim = 64;
    byte[] data = new byte[(int) (500 * type.rowBytes(headDim))];
    new Random(7).nextBytes(data);
    Table table = Table.interleaved("rows", type, 500, headDim, MemorySegment.ofArray(data));
    boolean exact = true;
    float[] wide = new float[headDim];
    short[] narrow = new short[headDim];
    for (long row = 0; row < 500; row++) {
      MemorySegment id = MemorySegment.ofArray(new long[] {row});
      JavaGather.gather(table, id, 1, MemorySegment.ofArray(wide), Dtype.F32);
      JavaGather.gather(table, id, 1, MemorySegment.ofArray(narrow), Dtype.BF16);
      for (int k = 0; k < headDim; k++) {
        float size = Math.abs(wide[k]);
        if (size >= Float.MIN_NORMAL && size <= 0x1.fep127f) {
          exact &= wide[k] == Bfloat16.toFloat(narrow[k]);
        }
      }
    }
    assertEquals(type.isExactInBf16(), exact);
  }
}
