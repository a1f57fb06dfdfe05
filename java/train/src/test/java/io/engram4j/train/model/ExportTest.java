package io.engram4j.train.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.EngramModel;
import io.engram4j.EngramSequence;
import io.engram4j.hf.Check;
import io.engram4j.hf.EngramDirectory;
import io.engram4j.hf.EngramModels;
import io.engram4j.model.HiddenStream;
import io.engram4j.model.TokenMap;
import io.engram4j.train.SmallModels;
import io.engram4j.train.TrainOptions;
import io.engram4j.train.Trainer;
import io.engram4j.train.data.Bpe;
import io.engram4j.train.data.BpeTrainer;
import io.engram4j.train.data.PackedDocuments;
import io.engram4j.train.files.DecoderDirectory;
import io.engram4j.train.files.EngramExport;
import io.engram4j.train.files.EngramImport;
import io.engram4j.train.kernel.Gemm;
import io.engram4j.train.table.TrainableTable;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What was trained is what inference computes. */
class ExportTest {
  private static final String TEXT =
      "Call me Ishmael. Some years ago, never mind how long precisely, having little or no money in "
          + "my purse, and nothing particular to interest me on shore, I thought I would sail about "
          + "a little and see the watery part of the world. ";

  @TempDir private Path directory;

  private static Decoder trained(Bpe bpe, EngramForm form, int streams) {
    DecoderShape shape = new DecoderShape(bpe.size(), 48, 3, 4, 64, streams, 32);
    EngramMemory memory = SmallModels.memory(shape, form, TokenMap.build(bpe), List.of(0, 2), 150);
    Decoder decoder = SmallModels.inMemory(shape, memory, 1);
    PackedDocuments data =
        new PackedDocuments("a sentence", List.of(bpe.encode(TEXT.repeat(20))), 32, 1);
    TrainOptions options = TrainOptions.defaults(25).withBatch(8, 2);
    try (Trainer trainer = new Trainer(decoder, data, options)) {
      for (int i = 0; i < 25; i++) {
        trainer.step();
      }
    }
    return decoder;
  }

  private static float[] rows(TrainableTable table) {
    int width = table.shape().width();
    float[] rows = new float[(int) table.shape().rows() * width];
    for (int row = 0; row < table.shape().rows(); row++) {
      table.read(row, rows, row * width);
    }
    return rows;
  }

  /** A decoder of the same dense parameters, with the Engram layers of a model. */
  private static Decoder imported(Decoder like, EngramModel model) {
    Decoder decoder = SmallModels.inMemory(like.shape(), EngramImport.memory(model), 2);
    float[] dense = like.parameters().values();
    System.arraycopy(dense, 0, decoder.parameters().values(), 0, dense.length);
    EngramImport.read(model, decoder, count -> {});
    return decoder;
  }

  @Test
  void exportsOpenAndComeBack() throws IOException {
    Bpe bpe = new BpeTrainer().add(TEXT).train(300);
    Path tokenizer = directory.resolve("tokenizer.json");
    bpe.write(tokenizer);
    for (EngramForm form : EngramForm.values()) {
      for (int streams : new int[] {1, 4}) {
        Path to = directory.resolve(form + "-" + streams);
        try (Decoder decoder = trained(bpe, form, streams)) {
          EngramExport.write(decoder, tokenizer, to);
          assertEquals(
              List.of(),
              EngramDirectory.read(to).checks().stream()
                  .filter(check -> !check.passed())
                  .map(Check::toString)
                  .toList());
          try (EngramModel model = EngramModels.open(to);
              Decoder back = imported(decoder, model)) {
            for (int i = 0; i < 2; i++) {
              assertRows(form, rows(decoder.tables().get(i)), rows(back.tables().get(i)));
            }
            if (form == EngramForm.PAPER) {
              assertArrayEquals(decoder.parameters().values(), back.parameters().values());
            }
            assertAgrees(bpe, back, model, form + " " + streams);
            Path again = directory.resolve(form + "-" + streams + "-again");
            EngramExport.write(back, tokenizer, again);
            // bytes may differ, where rounding made the largest of a block a lesser power of two
            try (EngramModel second = EngramModels.open(again);
                Decoder same = imported(decoder, second)) {
              assertArrayEquals(back.parameters().values(), same.parameters().values());
              for (int i = 0; i < 2; i++) {
                assertArrayEquals(rows(back.tables().get(i)), rows(same.tables().get(i)));
              }
            }
          }
        }
      }
    }
  }

  /** The paper's rows to the bit, fp8 ones within half a step of the largest of 32. */
  private static void assertRows(EngramForm form, float[] expected, float[] actual) {
    for (int i = 0; i < expected.length; i++) {
      float most = 0;
      for (int j = i / 32 * 32; j < i / 32 * 32 + 32; j++) {
        most = Math.max(most, Math.abs(expected[j]));
      }
      float bound =
          form == EngramForm.PAPER ? 0 : Math.max(Math.abs(expected[i]) / 16, most * 0x1p-16f);
      assertEquals(expected[i], actual[i], bound, form + " element " + i);
    }
    assertTrue(Arrays.equals(expected, actual) == (form == EngramForm.PAPER));
  }

  /** The training kernels and the model compute the same over one text, layer by layer. */
  private static void assertAgrees(Bpe bpe, Decoder decoder, EngramModel model, String which) {
    int[] ids = Arrays.copyOf(bpe.encode(TEXT), 32);
    int[] start = new int[32];
    boolean[] live = new boolean[32];
    Arrays.fill(live, true);
    Batch batch = new Batch(1, 32, ids, new int[32], start, live);
    SplittableRandom random = new SplittableRandom(1);
    for (int i = 0; i < model.layers().size(); i++) {
      EngramBlock block =
          new EngramBlock(
              decoder.memory().config(),
              decoder.memory().form(),
              decoder.parameters().values(),
              decoder.tensors().engram().get(i),
              decoder.hashes().get(i),
              decoder.tables().get(i),
              new Gemm(),
              32);
      float[] stream = new float[32 * model.config().streamWidth()];
      for (int j = 0; j < stream.length; j++) {
        stream[j] = (float) random.nextGaussian();
      }
      float[] expected = stream.clone();
      EngramSequence sequence = model.newSequence();
      sequence.append(ids);
      HiddenStream hidden =
          HiddenStream.of(expected, model.config().branches(), model.config().hiddenSize());
      model.layers().get(i).apply(sequence, 32, hidden);
      block.forward(stream, batch);
      double squares = 0;
      double error = 0;
      for (int j = 0; j < stream.length; j++) {
        squares += (double) expected[j] * expected[j];
        error += Math.pow((double) expected[j] - stream[j], 2);
      }
      assertTrue(Math.sqrt(error / squares) < 2e-6, which + ": " + Math.sqrt(error / squares));
    }
  }

  /** A directory of a whole decoder loses what bf16 and fp8 lose, and nothing a second time. */
  @Test
  void wholeDecodersComeBack() throws IOException {
    Bpe bpe = new BpeTrainer().add(TEXT).train(300);
    Path tokenizer = directory.resolve("tokenizer.json");
    bpe.write(tokenizer);
    int[] ids = Arrays.copyOf(bpe.encode(TEXT), 32);
    boolean[] live = new boolean[32];
    Arrays.fill(live, true);
    Batch batch = new Batch(1, 32, ids, ids, new int[32], live);
    for (EngramForm form : EngramForm.values()) {
      Path first = directory.resolve("first-" + form);
      Path second = directory.resolve("second-" + form);
      try (Decoder decoder = trained(bpe, form, 4)) {
        DecoderDirectory.write(decoder, tokenizer, first);
        try (Decoder read = DecoderDirectory.read(first)) {
          DecoderDirectory.write(read, tokenizer, second);
          try (Decoder again = DecoderDirectory.read(second)) {
            assertArrayEquals(
                read.newPass(32).logits(batch), again.newPass(32).logits(batch), form + "");
            assertEquals(read.shape(), decoder.shape());
            double loss = decoder.newPass(32).forward(batch) / 32;
            assertEquals(loss, read.newPass(32).forward(batch) / 32, 0.05, form + "");
          }
        }
      }
    }
    Path liar = directory.resolve("second-" + EngramForm.V41);
    Path lying = liar.resolve("decoder.json");
    String honest = Files.readString(lying);
    for (String json :
        List.of(
            "",
            "{}",
            honest.substring(0, honest.length() / 2),
            honest.replaceFirst("(\"vocabulary\" : )\\d+", "$1 2000000000"),
            honest.replace("\"layers\" : 3", "\"layers\" : 2000000000"),
            honest.replace("\"layers\" : 3", "\"layers\" : -3"))) {
      Files.writeString(lying, json);
      assertThrows(IOException.class, () -> DecoderDirectory.read(liar), json);
    }
    Path damaged = directory.resolve("first-" + EngramForm.V41).resolve("decoder.json");
    Files.writeString(
        damaged, Files.readString(damaged).replace("\"inner\" : 64", "\"inner\" : 32"));
    IOException e =
        assertThrows(
            IOException.class,
            () -> DecoderDirectory.read(directory.resolve("first-" + EngramForm.V41)));
    assertTrue(e.toString().contains("gate_up") && e.toString().contains("64"), e.toString());
  }

  @Test
  void whatHasNoPlaceInAFileIsRefused() throws IOException {
    Bpe bpe = new BpeTrainer().add(TEXT).train(300);
    Path tokenizer = directory.resolve("tokenizer.json");
    bpe.write(tokenizer);
    DecoderShape shape = new DecoderShape(bpe.size(), 48, 3, 4, 64, 1, 32);
    try (Decoder dense = SmallModels.inMemory(shape, EngramMemory.NONE, 1)) {
      assertThrows(
          IllegalArgumentException.class,
          () -> EngramExport.write(dense, tokenizer, directory.resolve("x")));
    }
    TokenMap map = TokenMap.build(bpe);
    List<Decoder> two = new ArrayList<>();
    for (int rows : new int[] {1, 60}) {
      two.add(
          SmallModels.inMemory(
              shape, SmallModels.memory(shape, EngramForm.V41, map, List.of(1), rows), 1));
    }
    assertThrows(
        IllegalArgumentException.class,
        () -> EngramExport.write(two.get(0), tokenizer, directory.resolve("x")));
    EngramExport.write(two.get(1), tokenizer, directory.resolve("x"));
    try (EngramModel model = EngramModels.open(directory.resolve("x"))) {
      IllegalArgumentException e =
          assertThrows(
              IllegalArgumentException.class,
              () -> EngramImport.read(model, two.get(0), count -> {}));
      assertTrue(e.toString().contains("hashes by"), e.toString());
    }
    two.forEach(Decoder::close);
  }
}
