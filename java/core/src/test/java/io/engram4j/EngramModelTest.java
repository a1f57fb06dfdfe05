package io.engram4j;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.kernel.java.JavaBackend;
import io.engram4j.model.Dtype;
import io.engram4j.model.EngramConfig;
import io.engram4j.model.EngramLayout;
import io.engram4j.model.HiddenStream;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** What the API promises beside numbers: errors before effects, dead tokens, snapshots. */
class EngramModelTest {
  private static String message(Class<? extends Exception> type, Runnable action) {
    return String.valueOf(assertThrows(type, action::run).getMessage());
  }

  @Test
  void anIdOutsideTheVocabularyAppendsNothing() {
    EngramSequence sequence = TestModels.paper().newSequence(); // of text alone
    sequence.append(5);
    String message =
        message(IndexOutOfBoundsException.class, () -> sequence.append(new int[] {1, 2, 100}));
    assertEquals("token id 100 is outside the vocabulary of 100 ids", message);
    message(IndexOutOfBoundsException.class, () -> sequence.append(-1));
    message(
        IndexOutOfBoundsException.class, () -> sequence.append(new int[] {1, 100}, new boolean[2]));
    message(IndexOutOfBoundsException.class, () -> sequence.append(new int[3], 2, 2));
    message(IllegalArgumentException.class, () -> sequence.append(new int[3], new boolean[2]));
    assertEquals(1, sequence.length());
  }

  @Test
  void idsThatMarkImagesAreDead() {
    EngramModel model = TestModels.v41(); // its image token is 99, the last of 100
    EngramSequence marks = model.newSequence();
    marks.append(new int[] {1, -1, 2, 100, 3, 115, 4, 99, 5});
    marks.append(-1);
    marks.append(new int[] {100, 6}, new boolean[] {true, false});
    EngramSequence said = model.newSequence();
    boolean[] dead = {false, true, false, true, false, true, false, true, false, true, true, false};
    said.append(new int[] {1, 7, 2, 7, 3, 7, 4, 7, 5, 7, 7, 6}, dead);
    int tokens = dead.length;
    int columns = model.config().columns();
    long[] actual = new long[tokens * columns];
    long[] expected = new long[tokens * columns];
    EngramLayer layer = model.layers().getFirst();
    layer.hash(model.newBatch().add(marks, 0, tokens), MemorySegment.ofArray(actual));
    layer.hash(model.newBatch().add(said, 0, tokens), MemorySegment.ofArray(expected));
    assertArrayEquals(expected, actual);
    for (int i = 0; i < tokens; i++) {
      assertEquals(dead[i], marks.compressedId(i) < 0, "token " + i);
    }
    for (int outside : new int[] {-2, 116, Integer.MAX_VALUE, Integer.MIN_VALUE}) {
      message(IndexOutOfBoundsException.class, () -> marks.append(outside));
    }
    message(
        IndexOutOfBoundsException.class, () -> marks.append(new int[] {-1}, new boolean[] {false}));
    assertEquals(tokens, marks.length());
  }

  @Test
  void truncationStaysInRange() {
    EngramSequence sequence = TestModels.v41().newSequence();
    sequence.append(new int[] {1, 2, 3});
    message(IllegalArgumentException.class, () -> sequence.truncate(4));
    message(IllegalArgumentException.class, () -> sequence.truncate(-1));
    sequence.truncate(0);
    assertEquals(0, sequence.length());
  }

  @Test
  void aRestoredSequenceCannotGoBackBeyondItsSnapshot() {
    EngramModel model = TestModels.v41();
    EngramSequence sequence = model.newSequence();
    sequence.append(new int[] {1, 2, 3, 4, 5, 6, 7});
    EngramSequence restored = model.restore(sequence.snapshot());
    assertEquals(7, restored.length());
    String message = message(IllegalStateException.class, () -> restored.truncate(6));
    assertTrue(message.contains("position 6 looks back 3"), message);
    message(IllegalStateException.class, () -> model.newBatch().add(restored, 5, 2));
    message(
        IllegalArgumentException.class, () -> model.restore(SequenceSnapshot.of(7, new int[] {1})));
    message(
        IllegalArgumentException.class,
        () -> model.restore(SequenceSnapshot.of(7, new int[] {1, 2, 80})));
  }

  /** What a snapshot holds of a convolution goes to another process and back. */
  @Test
  void snapshotsLeaveTheProcess() {
    for (EngramModel model : List.of(TestModels.v41(), TestModels.paper())) {
      int width = model.config().streamWidth();
      EngramSequence sequence = model.newSequence();
      sequence.append(new int[] {1, 2, 3, 4, 5, 6, 7});
      float[] first = TestModels.gaussians(7 * width, new Random(1));
      model.layers().forEach(layer -> layer.apply(sequence, 7, first.clone()));
      byte[] bytes = sequence.snapshot().toBytes();
      EngramSequence restored = model.restore(SequenceSnapshot.fromBytes(bytes));
      float[] expected = TestModels.gaussians(width, new Random(2));
      float[] actual = expected.clone();
      for (EngramSequence each : List.of(sequence, restored)) {
        each.append(8);
        float[] hidden = each == sequence ? expected : actual;
        model.layers().forEach(layer -> layer.apply(each, 1, hidden));
      }
      assertArrayEquals(expected, actual);
      for (int at = 0; at < bytes.length; at += 3) {
        byte[] damaged = bytes.clone();
        damaged[at] ^= 4;
        message(IllegalArgumentException.class, () -> SequenceSnapshot.fromBytes(damaged));
        byte[] cut = Arrays.copyOf(bytes, at);
        message(IllegalArgumentException.class, () -> SequenceSnapshot.fromBytes(cut));
      }
    }
  }

  @Test
  void snapshotsOfAnotherModelAreRefused() {
    EngramSequence sequence = TestModels.v41().newSequence();
    sequence.append(new int[] {1, 2, 3, 4});
    SequenceSnapshot snapshot = sequence.snapshot();
    TestModels.v41().restore(snapshot); // the same, opened again
    EngramModel other =
        EngramModel.hashOnly(TestModels.v41Flash(), TestModels.v41SizedMap(), new JavaBackend());
    String message = message(IllegalArgumentException.class, () -> other.restore(snapshot));
    assertTrue(message.contains("of another model"), message);
    assertEquals(4, other.restore(SequenceSnapshot.of(4, snapshot.lastIds())).length());
  }

  @Test
  void deadTokensKeepTheirStreamBitForBit() {
    for (EngramModel model : List.of(TestModels.v41(), TestModels.paper())) {
      int width = model.config().streamWidth();
      EngramSequence sequence = model.newSequence();
      boolean[] dead = {false, true, false, true};
      sequence.append(new int[] {1, 2, 3, 4}, dead);
      float[] hidden = TestModels.gaussians(4 * width, new Random(1));
      float[] before = hidden.clone();
      model.layers().getFirst().apply(sequence, 4, hidden);
      for (int i = 0; i < hidden.length; i++) {
        assertEquals(dead[i / width], hidden[i] == before[i], "element " + i);
      }
    }
  }

  @Test
  void bothStreamTypesAndStrides() {
    EngramModel model = TestModels.v41();
    int branches = model.config().branches();
    int size = model.config().hiddenSize();
    EngramSequence sequence = model.newSequence();
    sequence.append(new int[] {1, 2, 3});
    float[] plain = TestModels.gaussians(3 * branches * size, new Random(2));
    long branchStride = 4L * size + 12;
    long tokenStride = branches * branchStride + 20;
    MemorySegment memory = MemorySegment.ofArray(new byte[(int) tokenStride * 3]);
    HiddenStream spread = new HiddenStream(memory, Dtype.F32, tokenStride, branchStride);
    for (int token = 0; token < 3; token++) {
      for (int branch = 0; branch < branches; branch++) {
        for (int i = 0; i < size; i++) {
          spread.set(spread.at(token, branch), i, plain[(token * branches + branch) * size + i]);
        }
      }
    }
    EngramLayer layer = model.layer(4);
    layer.apply(sequence, 3, plain);
    layer.apply(sequence, 3, spread);
    for (int token = 0; token < 3; token++) {
      for (int branch = 0; branch < branches; branch++) {
        for (int i = 0; i < size; i++) {
          assertEquals(
              plain[(token * branches + branch) * size + i],
              spread.get(spread.at(token, branch), i));
        }
      }
    }
  }

  @Test
  void streamsThatAreTooSmallAreRefusedUntouched() {
    EngramModel model = TestModels.v41();
    EngramSequence sequence = model.newSequence();
    sequence.append(new int[] {1, 2});
    float[] hidden = new float[2 * model.config().streamWidth() - 1];
    String message =
        message(
            IllegalArgumentException.class,
            () -> model.layers().getFirst().apply(sequence, 2, hidden));
    assertEquals(
        "the hidden stream holds 572 bytes, but 2 tokens of 3 branches of 24 elements take 576",
        message);
    assertArrayEquals(new float[hidden.length], hidden);
    message =
        message(
            IllegalArgumentException.class,
            () -> model.layers().getFirst().apply(sequence, 3, new float[999]));
    assertEquals("3 tokens were asked for, but the sequence has 2", message);
    message(
        IllegalArgumentException.class,
        () ->
            model
                .layers()
                .getFirst()
                .hash(model.newBatch().add(sequence, 0, 2), MemorySegment.ofArray(new long[17])));
  }

  @Test
  void anEmptyBatchDoesNothing() {
    EngramModel model = TestModels.v41();
    model.layers().getFirst().apply(model.newSequence(), 0, new float[0]);
    model.layers().getFirst().hash(model.newBatch(), MemorySegment.ofArray(new long[0]));
  }

  @Test
  void partsOfOtherModelsAreRefused() {
    EngramModel model = TestModels.v41();
    EngramModel other = TestModels.v41();
    message(IllegalArgumentException.class, () -> model.newBatch().add(other.newSequence(), 0, 0));
    message(
        IllegalArgumentException.class,
        () -> model.layers().getFirst().hash(other.newBatch(), MemorySegment.NULL));
    message(NoSuchElementException.class, () -> model.layer(3));
    // a view on another backend shares sequences and batches
    EngramModel view = model.withBackend(new JavaBackend());
    view.newBatch().add(model.newSequence(), 0, 0);
  }

  @Test
  void aClosedModelSaysSo() {
    EngramModel model = TestModels.v41();
    EngramSequence sequence = model.newSequence();
    sequence.append(1);
    model.close();
    model.close();
    String message =
        message(
            IllegalStateException.class,
            () ->
                model
                    .layers()
                    .getFirst()
                    .apply(sequence, 1, new float[model.config().streamWidth()]));
    assertEquals("the model is closed", message);
  }

  @Test
  void aModelWithoutTablesHashesAndNothingElse() {
    EngramModel model =
        EngramModel.hashOnly(TestModels.v41Flash(), TestModels.v41SizedMap(), new JavaBackend());
    EngramSequence sequence = model.newSequence();
    sequence.append(1);
    model.layer(14).hash(model.newBatch().add(sequence, 0, 1), MemorySegment.ofArray(new long[24]));
    String message = message(IllegalStateException.class, () -> model.layer(14).weights());
    assertEquals("layer 14 was opened without its tensors", message);
    message(IllegalStateException.class, () -> model.layer(1).apply(sequence, 1, new float[20480]));
    assertEquals(24, model.withBackend(new JavaBackend()).config().columns());
  }

  @Test
  void theCompressedSizeIsChecked() {
    String message =
        message(
            IllegalArgumentException.class,
            () ->
                EngramModel.hashOnly(
                    TestModels.v41Flash(), TestModels.smallMap(), new JavaBackend()));
    assertEquals("compressed vocabulary size is 80, but the configuration says 99092", message);
  }

  /** Rows that no head reaches are refused, unless a file says what its heads reach. */
  @Test
  void theRowsOfTablesAreChecked() {
    EngramConfig.Builder builder =
        EngramConfig.builder()
            .hiddenSize(16)
            .branches(2)
            .layerIds(List.of(1))
            .ngrams(3, List.of(40L, 60L))
            .heads(2, 8);
    EngramConfig computed = builder.build();
    long rows = EngramLayout.of(computed, 80).getFirst().rows();
    for (int more : new int[] {-1, 1}) {
      String message =
          message(IllegalArgumentException.class, () -> TestModels.model(computed, more));
      assertEquals(
          "layer 1: rows of the table is " + (rows + more) + ", but the configuration says " + rows,
          message);
    }
    EngramConfig given = builder.layouts(EngramLayout.of(computed, 80)).build();
    TestModels.model(given, 1).close();
    String message = message(IllegalArgumentException.class, () -> TestModels.model(given, -1));
    assertEquals(
        "layer 1: heads reach " + rows + " rows, but the table has " + (rows - 1), message);
    EngramConfig padded = builder.layouts(List.of()).tableRows(List.of(rows + 2)).build();
    TestModels.model(padded, 2).close();
    message(IllegalArgumentException.class, () -> TestModels.model(padded, 1));
  }

  @Test
  void convolutionsNeedEveryTokenAndRememberAFew() {
    EngramModel model = TestModels.paper();
    int width = model.config().streamWidth();
    EngramLayer layer = model.layers().getFirst();
    EngramSequence sequence = model.newSequence();
    sequence.append(new int[60]);
    String message =
        message(IllegalStateException.class, () -> layer.apply(sequence, 2, new float[2 * width]));
    assertTrue(message.contains("of this sequence it has seen 0"), message);
    layer.apply(sequence, 60, new float[60 * width]);
    layer.apply(sequence, 30, new float[30 * width]); // within what it remembers
    message =
        message(
            IllegalStateException.class, () -> layer.apply(sequence, 40, new float[40 * width]));
    assertTrue(message.contains("fork the sequence"), message);
    message(IllegalStateException.class, sequence::snapshot); // the other layer has seen nothing
    model.layers().getLast().apply(sequence, 60, new float[60 * width]);
    EngramSequence restored = model.restore(sequence.snapshot());
    sequence.append(new int[] {4, 5});
    restored.append(new int[] {4, 5});
    float[] expected = TestModels.gaussians(2 * width, new Random(5));
    float[] actual = expected.clone();
    layer.apply(sequence, 2, expected);
    layer.apply(restored, 2, actual);
    assertArrayEquals(expected, actual);
  }

  @Test
  void backendsAreChosenByName() {
    assertEquals("java", Backends.select().name());
    assertEquals("java", Backends.named("nonsense, java").name());
    String message = message(IllegalStateException.class, () -> Backends.named("nonsense"));
    assertTrue(message.contains("nonsense: unknown; there are [java]"), message);
  }
}
