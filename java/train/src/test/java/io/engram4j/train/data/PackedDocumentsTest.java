package io.engram4j.train.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.train.model.Batch;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;

class PackedDocumentsTest {
  private static final int CONTEXT = 16;

  /** Document d has tokens 1000 d, 1000 d + 1, ... */
  private static List<int[]> documents(int... lengths) {
    List<int[]> documents = new ArrayList<>();
    for (int d = 0; d < lengths.length; d++) {
      int[] tokens = new int[lengths[d]];
      for (int i = 0; i < tokens.length; i++) {
        tokens[i] = 1000 * (d + 1) + i;
      }
      documents.add(tokens);
    }
    return documents;
  }

  @Test
  void anEpochHasEachTargetOnceAndLooksNowhereElse() {
    PackedDocuments packed =
        new PackedDocuments("test", documents(40, 3, 1, 17, 16, 2, 33, 5), CONTEXT, 1);
    assertEquals(39 + 2 + 16 + 15 + 1 + 32 + 4, packed.targets());
    for (int epoch = 0; epoch < 3; epoch++) {
      long perEpoch = packed.sequencesPerEpoch();
      Batch batch = packed.sequences(epoch * perEpoch, (int) perEpoch);
      Map<Integer, Integer> seen = new TreeMap<>();
      for (int i = 0; i < batch.tokens(); i++) {
        if (batch.targets()[i] >= 0) {
          seen.merge(batch.targets()[i], 1, Integer::sum);
          assertEquals(batch.ids()[i] + 1, batch.targets()[i]);
          assertTrue(batch.live()[i]);
          for (int j = batch.start()[i]; j < i; j++) {
            assertEquals(batch.ids()[i] - (i - j), batch.ids()[j], "another document");
          }
        } else {
          assertFalse(batch.live()[i], "padding has memory");
        }
      }
      assertEquals(packed.targets(), seen.size());
      assertTrue(seen.values().stream().allMatch(count -> count == 1));
    }
    assertNotEquals(
        packed.sequences(0, 2).ids()[0], packed.sequences(packed.sequencesPerEpoch(), 2).ids()[0]);
  }

  @Test
  void mixturesGiveEachItsShareInItsOrder() {
    PackedDocuments first = new PackedDocuments("a", documents(16 * 50 + 1), CONTEXT, 1);
    PackedDocuments second = new PackedDocuments("b", documents(2, 16 * 10 + 1), CONTEXT, 2);
    Mixture mixture =
        new Mixture(List.of(new Mixture.Part(first, 3), new Mixture.Part(second, 1)), 5);
    int ofSecond = 0;
    for (int step = 0; step < 20; step++) {
      Batch batch = mixture.batch(step, 7);
      assertEquals(7, batch.sequences());
      assertArrayEquals(batch.ids(), mixture.batch(step, 7).ids());
      List<int[]> due = new ArrayList<>();
      for (int i = 0; i < 7; i++) {
        int[] one = batch.part(i, 1).ids();
        if (Arrays.stream(one).anyMatch(id -> id >= 2000)) { // as only the second has
          due.add(one);
        }
      }
      for (int i = 0; i < due.size(); i++) {
        int[] expected = second.sequences(ofSecond + i, 1).ids();
        assertTrue(due.stream().anyMatch(one -> Arrays.equals(one, expected)), "step " + step);
      }
      ofSecond += due.size();
    }
    assertTrue(Math.abs(ofSecond - 35) <= 1, "of 140 sequences " + ofSecond);
  }

  @Test
  void aCorpusCanLeaveTheMemoryOutOfItsSequencesAlone() {
    PackedDocuments first = new PackedDocuments("a", documents(16 * 50 + 1), CONTEXT, 1);
    PackedDocuments second = new PackedDocuments("b", documents(2, 16 * 10 + 1), CONTEXT, 2);
    Mixture mixture =
        new Mixture(List.of(new Mixture.Part(first, 1), new Mixture.Part(second, 1, 0.3)), 5);
    int without = 0;
    for (int step = 0; step < 100; step++) {
      Batch batch = mixture.batch(step, 10);
      assertArrayEquals(batch.live(), mixture.batch(step, 10).live());
      for (int i = 0; i < 10; i++) {
        Batch one = batch.part(i, 1);
        boolean live = false; // of padding it is not either
        for (boolean token : one.live()) {
          live |= token;
        }
        boolean ofFirst = Arrays.stream(one.ids()).filter(id -> id > 1001 && id < 2000).count() > 0;
        assertTrue(live || !ofFirst, "step " + step);
        without += live ? 0 : 1;
      }
    }
    assertTrue(without > 110 && without < 190, "of 500 sequences " + without);
    assertTrue(mixture.describe().contains("0.3 without memory"), mixture.describe());
  }

  @Test
  void emptyCorporaAreRefused() {
    IllegalArgumentException e =
        assertThrows(
            IllegalArgumentException.class,
            () -> new PackedDocuments("nothing", documents(1, 0), CONTEXT, 1));
    assertTrue(e.toString().contains("nothing") && e.toString().contains("2"), e.toString());
    assertThrows(IllegalArgumentException.class, () -> new Mixture(List.of(), 1));
    assertThrows(
        IllegalArgumentException.class, () -> new PackedDocuments("none", documents(9), 0, 1));
    Mixture.Part one = new Mixture.Part(new PackedDocuments("a", documents(9), 4, 1), 1);
    Mixture.Part other = new Mixture.Part(new PackedDocuments("b", documents(9), 5, 1), 1);
    Mixture.Part negative = new Mixture.Part(one.documents(), -0.5);
    assertThrows(IllegalArgumentException.class, () -> new Mixture(List.of(one, other), 1));
    assertThrows(IllegalArgumentException.class, () -> new Mixture(List.of(one, negative), 1));
    Mixture.Part more = new Mixture.Part(one.documents(), 1, 1.5);
    assertThrows(IllegalArgumentException.class, () -> new Mixture(List.of(one, more), 1));
  }
}
