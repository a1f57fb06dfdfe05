package io.engram4j.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.model.TokenMap;
import io.engram4j.train.data.PackedDocuments;
import io.engram4j.train.data.Sequences;
import io.engram4j.train.model.Decoder;
import io.engram4j.train.model.DecoderShape;
import io.engram4j.train.model.EngramForm;
import io.engram4j.train.model.EngramMemory;
import io.engram4j.train.table.RowFormat;
import io.engram4j.train.table.TrainableTable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.zip.CRC32C;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TrainerTest {
  private static final int VOCABULARY = 60;
  static final DecoderShape SHAPE = new DecoderShape(VOCABULARY, 16, 2, 2, 24, 2, 16);
  static final EngramMemory MEMORY =
      SmallModels.memory(SHAPE, EngramForm.PAPER, TokenMap.identity(VOCABULARY), List.of(1), 200);

  @TempDir private Path directory;

  static Sequences data() {
    SplittableRandom random = new SplittableRandom(4);
    List<int[]> documents = new ArrayList<>();
    for (int i = 0; i < 40; i++) {
      documents.add(random.ints(5 + i, 0, VOCABULARY).toArray());
    }
    return new PackedDocuments("random", documents, 16, 1);
  }

  static TrainOptions options() {
    return TrainOptions.defaults(30).withBatch(8, 2).withoutMemory(0.3f).withSeed(3);
  }

  private static List<float[]> state(Decoder decoder) {
    List<float[]> state = new ArrayList<>();
    state.add(decoder.parameters().values().clone());
    for (TrainableTable table : decoder.tables()) {
      int width = table.shape().width();
      float[] rows = new float[(int) table.shape().rows() * width];
      for (int row = 0; row < table.shape().rows(); row++) {
        table.read(row, rows, row * width);
      }
      state.add(rows);
    }
    return state;
  }

  private static void assertSame(List<float[]> expected, List<float[]> actual) {
    for (int i = 0; i < expected.size(); i++) {
      assertArrayEquals(expected.get(i), actual.get(i));
    }
  }

  private static List<float[]> train(int threads, int steps) {
    try (Decoder decoder = SmallModels.inMemory(SHAPE, MEMORY, 1);
        Trainer trainer = new Trainer(decoder, data(), options().withThreads(threads))) {
      for (int i = 0; i < steps; i++) {
        trainer.step();
      }
      return state(decoder);
    }
  }

  @Test
  void anyNumberOfThreadsGivesTheSameBits() {
    List<float[]> one = train(1, 6);
    for (int threads : new int[] {2, 3, 4, 7}) {
      assertSame(one, train(threads, 6));
    }
  }

  /**
   * The bits that an Intel Cascade Lake gave, with vectors of 16 and 8 floats, and without the
   * Vector API; those before, of a Zen 4, it gave too. Where they differ, something depends on the
   * machine.
   */
  @Test
  void anyMachineGivesTheSameBits() {
    CRC32C crc = new CRC32C();
    for (float[] part : train(2, 6)) {
      ByteBuffer bytes = ByteBuffer.allocate(4 * part.length);
      bytes.asFloatBuffer().put(part);
      crc.update(bytes);
    }
    assertEquals("b1067d50", Long.toHexString(crc.getValue()));
  }

  @Test
  void trainingGoesOnToTheSameBits() throws IOException {
    for (RowFormat format : RowFormat.values()) {
      Path whole = Files.createDirectory(directory.resolve("whole-" + format));
      Path parts = Files.createDirectory(directory.resolve("parts-" + format));
      List<float[]> expected;
      try (Decoder decoder = SmallModels.inFiles(SHAPE, MEMORY, format, whole, -1);
          Trainer trainer = new Trainer(decoder, data(), options())) {
        for (int i = 0; i < 9; i++) {
          trainer.step();
        }
        expected = state(decoder);
      }
      for (int part = 0; part < 3; part++) {
        long step = Trainer.lastStep(parts);
        assertEquals(part == 0 ? -1 : 3 * part, step);
        try (Decoder decoder = SmallModels.inFiles(SHAPE, MEMORY, format, parts, step);
            Trainer trainer =
                part == 0
                    ? new Trainer(decoder, data(), options())
                    : Trainer.resume(parts, decoder, data(), options())) {
          for (int i = 0; i < 3; i++) {
            trainer.step();
          }
          trainer.checkpoint(parts);
          if (part == 2) {
            assertSame(expected, state(decoder));
          } else {
            trainer.step(); // lost
          }
        }
      }
    }
  }

  @Test
  void anotherModelDataOrOptionsAreRefused() throws IOException {
    try (Decoder decoder = SmallModels.inFiles(SHAPE, MEMORY, RowFormat.F32, directory, -1);
        Trainer trainer = new Trainer(decoder, data(), options())) {
      trainer.step();
      trainer.checkpoint(directory);
    }
    try (Decoder decoder = SmallModels.inFiles(SHAPE, MEMORY, RowFormat.F32, directory, 1)) {
      IOException e =
          assertThrows(
              IOException.class,
              () -> Trainer.resume(directory, decoder, data(), options().withSeed(4)));
      assertTrue(e.toString().contains("seed=3") && e.toString().contains("seed=4"), e.toString());
      PackedDocuments other = new PackedDocuments("other", List.of(new int[] {1, 2, 3}), 16, 1);
      e =
          assertThrows(
              IOException.class, () -> Trainer.resume(directory, decoder, other, options()));
      assertTrue(e.toString().contains("other"), e.toString());
      Trainer.resume(directory, decoder, data(), options().withThreads(3)).close();
    }
  }

  @Test
  void truncatedFilesAreRefused() throws IOException {
    try (Decoder decoder = SmallModels.inFiles(SHAPE, MEMORY, RowFormat.F32, directory, -1);
        Trainer trainer = new Trainer(decoder, data(), options())) {
      trainer.step();
      trainer.checkpoint(directory);
    }
    for (String name : List.of("checkpoint.bin", "dense-1.safetensors", "rows-0.bin")) {
      Path file = directory.resolve(name);
      byte[] whole = Files.readAllBytes(file);
      for (int length : new int[] {0, 1, whole.length / 2, whole.length - 1}) {
        Files.write(file, Arrays.copyOf(whole, length));
        assertThrows(
            IOException.class,
            () -> {
              long step = Trainer.lastStep(directory);
              try (Decoder decoder =
                  SmallModels.inFiles(SHAPE, MEMORY, RowFormat.F32, directory, step)) {
                Trainer.resume(directory, decoder, data(), options()).close();
              }
            },
            name + " of " + length);
      }
      Files.write(file, whole);
    }
  }

  /** The step's number is named, and nothing has changed. */
  @Test
  void lossesThatAreNoNumbersStopTraining() {
    try (Decoder decoder = SmallModels.inMemory(SHAPE, MEMORY, 1);
        Trainer trainer = new Trainer(decoder, data(), options())) {
      trainer.step();
      int at = decoder.parameters().tensor("norm").at();
      decoder.parameters().values()[at] = Float.NaN;
      List<float[]> before = state(decoder);
      ArithmeticException e = assertThrows(ArithmeticException.class, trainer::step);
      assertTrue(e.toString().contains("step 1"), e.toString());
      assertSame(before, state(decoder));
      assertEquals(1, trainer.stepsDone());
    }
  }

  /** A checkpoint that cannot be written leaves the one before. */
  @Test
  void aCheckpointThatFailsLeavesTheOneBefore() throws IOException {
    try (Decoder decoder = SmallModels.inFiles(SHAPE, MEMORY, RowFormat.F32, directory, -1);
        Trainer trainer = new Trainer(decoder, data(), options())) {
      trainer.step();
      trainer.checkpoint(directory);
      trainer.step();
      // in the place of the next dense file, what no file can replace
      Path blocked = Files.createDirectory(directory.resolve("dense-2.safetensors"));
      Files.createFile(blocked.resolve("x"));
      assertThrows(IOException.class, () -> trainer.checkpoint(directory));
      assertEquals(1, Trainer.lastStep(directory));
      Files.delete(blocked.resolve("x"));
      Files.delete(blocked);
      trainer.checkpoint(directory);
      assertEquals(2, Trainer.lastStep(directory));
    }
    List<float[]> resumed;
    try (Decoder decoder = SmallModels.inFiles(SHAPE, MEMORY, RowFormat.F32, directory, 2);
        Trainer trainer = Trainer.resume(directory, decoder, data(), options())) {
      assertEquals(2, trainer.stepsDone());
      resumed = state(decoder);
    }
    assertSame(train(2, 2), resumed);
    assertNotEquals(train(2, 1).get(0)[0], resumed.get(0)[0]);
  }

  @Test
  void tokensOutOfTheVocabularyAreRefused() {
    PackedDocuments wrong =
        new PackedDocuments("wrong", List.of(new int[] {1, VOCABULARY, 3}), 16, 1);
    try (Decoder decoder = SmallModels.inMemory(SHAPE, MEMORY, 1);
        Trainer trainer = new Trainer(decoder, wrong, options())) {
      IndexOutOfBoundsException e = assertThrows(IndexOutOfBoundsException.class, trainer::step);
      assertTrue(e.toString().contains("60"), e.toString());
    }
  }
}
