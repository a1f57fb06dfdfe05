package io.engram4j.train.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.model.TokenMap;
import io.engram4j.train.Generator;
import io.engram4j.train.SmallModels;
import io.engram4j.train.table.TableShape;
import io.engram4j.train.table.TrainableTable;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

/** What does not fit is refused, and what should not matter does not. */
class DecoderTest {
  private static final DecoderShape SHAPE = new DecoderShape(40, 16, 2, 2, 24, 1, 12);
  private static final EngramMemory MEMORY =
      SmallModels.memory(SHAPE, EngramForm.V41, TokenMap.identity(40), List.of(1), 50);

  private static void assertRefused(String said, org.junit.jupiter.api.function.Executable what) {
    IllegalArgumentException e = assertThrows(IllegalArgumentException.class, what);
    assertTrue(e.toString().contains(said), e.toString());
  }

  private static Decoder decoder(DecoderShape shape, EngramMemory memory) {
    return SmallModels.inMemory(shape, memory, 1);
  }

  @Test
  void partsThatDoNotFitAreRefused() {
    assertRefused("2 branches", () -> decoder(SHAPE, memory(2, 16, List.of(1), 40)));
    assertRefused("branches of 32", () -> decoder(SHAPE, memory(1, 32, List.of(1), 40)));
    assertRefused("layer 2", () -> decoder(SHAPE, memory(1, 16, List.of(2), 40)));
    assertRefused("39 ids", () -> decoder(SHAPE, memory(1, 16, List.of(1), 39)));
    assertRefused("have 0 tables", () -> new Decoder(SHAPE, MEMORY, List.of(), 1));
    try (TrainableTable small = TrainableTable.inMemory(TableShape.of(10, 32))) {
      assertRefused("10 rows", () -> new Decoder(SHAPE, MEMORY, List.of(small), 1));
    }
    assertRefused("16 elements", () -> new DecoderShape(40, 16, 2, 3, 24, 1, 12));
    assertRefused("0 layers", () -> new DecoderShape(40, 16, 0, 2, 24, 1, 12));
    assertThrows(IllegalStateException.class, EngramMemory.NONE::config);
  }

  private static EngramMemory memory(int streams, int width, List<Integer> layers, int ids) {
    DecoderShape shape = new DecoderShape(ids, width, 3, 2, 24, streams, 12);
    return SmallModels.memory(shape, EngramForm.V41, TokenMap.identity(ids), layers, 50);
  }

  @Test
  void batchesThatDoNotFitAreRefused() {
    try (Decoder decoder = decoder(SHAPE, MEMORY)) {
      Pass pass = decoder.newPass(12);
      int[] none = new int[13];
      boolean[] live = new boolean[13];
      assertRefused("13 tokens", () -> pass.forward(new Batch(1, 13, none, none, none, live)));
      int[] late = new int[12];
      late[3] = 4;
      int[] zeros = new int[12];
      assertRefused("begin at 4", () -> new Batch(1, 12, zeros, zeros, late, new boolean[12]));
      assertRefused("arrays of 11", () -> new Batch(1, 12, new int[11], zeros, late, live));
      int[] ids = new int[12];
      ids[5] = 40;
      assertThrows(
          IndexOutOfBoundsException.class,
          () -> pass.forward(new Batch(1, 12, ids, zeros, zeros, new boolean[12])));
    }
  }

  /** A document's tokens do not depend on what is packed before it, or beside it. */
  @Test
  void documentsDoNotSeeEachOther() {
    try (Decoder decoder = decoder(SHAPE, MEMORY)) {
      float[] row = new float[32];
      Arrays.fill(row, 0.5f);
      TrainableTable table = decoder.tables().getFirst();
      for (long i = 0; i < table.shape().rows(); i++) {
        row[(int) (i % 32)] = i;
        table.set(i, row, 0);
      }
      int[] ids = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
      int[] start = {0, 0, 0, 0, 4, 4, 4, 4, 4, 4, 4, 4};
      boolean[] live = new boolean[12];
      Arrays.fill(live, true);
      int[] none = new int[12];
      Arrays.fill(none, -1);
      float[] one = logits(decoder, ids.clone(), none, start, live);
      ids[1] = 30;
      ids[3] = 31;
      float[] other = logits(decoder, ids, none, start, live);
      assertArrayEquals(
          Arrays.copyOfRange(one, 4 * 40, 12 * 40), Arrays.copyOfRange(other, 4 * 40, 12 * 40));
      assertTrue(!Arrays.equals(one, other));
    }
  }

  private static float[] logits(
      Decoder decoder, int[] ids, int[] none, int[] start, boolean[] live) {
    return decoder.newPass(12).logits(new Batch(1, 12, ids, none, start, live)).clone();
  }

  @Test
  void generationGoesOnBeyondTheContext() {
    try (Decoder decoder = decoder(SHAPE, MEMORY)) {
      Generator generator = new Generator(decoder);
      int[] ids = generator.generate(new int[] {1, 2, 3}, 30, -1, true);
      assertEquals(30, ids.length);
      assertArrayEquals(ids, generator.generate(new int[] {1, 2, 3}, 30, -1, true));
      int[] ended = generator.generate(new int[] {1, 2, 3}, 30, ids[0], true);
      assertEquals(0, ended.length);
      assertThrows(
          IllegalArgumentException.class, () -> generator.generate(new int[0], 3, -1, true));
    }
  }
}
