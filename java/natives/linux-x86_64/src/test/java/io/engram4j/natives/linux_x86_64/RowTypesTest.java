package io.engram4j.natives.linux_x86_64;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import io.engram4j.Backends;
import io.engram4j.bindings.Engram;
import io.engram4j.bindings.engram_row_type;
import io.engram4j.table.RowType;
import io.engram4j.table.RowType.Scales;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Map;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The table of row types stands in Java and in C; both say the same. */
class RowTypesTest {
  private static final Map<Scales, Integer> SCALES =
      Map.of(
          Scales.NONE, Engram.ENGRAM_SCALES_NONE(),
          Scales.IN_ROW, Engram.ENGRAM_SCALES_IN_ROW(),
          Scales.BESIDE, Engram.ENGRAM_SCALES_BESIDE(),
          Scales.TENSOR, Engram.ENGRAM_SCALES_TENSOR());

  @BeforeAll
  static void load() {
    assertEquals("cpu", Backends.named("cpu").name());
  }

  private static MemorySegment about(Arena arena) {
    MemorySegment about = engram_row_type.allocate(arena);
    engram_row_type.struct_size(about, (int) engram_row_type.sizeof());
    return about;
  }

  @ParameterizedTest
  @EnumSource(RowType.class)
  void javaAndCAgree(RowType type) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment about = about(arena);
      assertEquals(Engram.ENGRAM_OK(), Engram.engram_describe_row_type(type.code(), about));
      assertEquals(type.name(), engram_row_type.name(about).getString(0));
      assertEquals(type.blockElements(), engram_row_type.block_elements(about));
      assertEquals(type.blockBytes(), engram_row_type.block_bytes(about));
      assertEquals(SCALES.get(type.scales()), engram_row_type.scales(about));
      assertEquals(type.scaleBytes(), engram_row_type.scale_bytes(about));
      assertEquals(type.biasBytes(), engram_row_type.bias_bytes(about));
      assertEquals(type.isExactInBf16() ? 1 : 0, engram_row_type.exact_in_bf16(about));
      assertEquals(type.isWeight() ? 1 : 0, engram_row_type.weight(about));
    }
  }

  @Test
  void cHasNoOthers() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment about = about(arena);
      for (int code = -2; code < 1000; code++) {
        if (RowType.ofCode(code) == null) {
          assertNotEquals(Engram.ENGRAM_OK(), Engram.engram_describe_row_type(code, about));
        }
      }
    }
  }
}
