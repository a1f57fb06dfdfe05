package io.engram4j.jlama;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.github.tjake.jlama.safetensors.DType;
import com.github.tjake.jlama.safetensors.prompt.PromptContext;
import io.engram4j.EngramModel;
import io.engram4j.hf.EngramModels;
import io.engram4j.model.EngramConfig;
import io.engram4j.model.TokenMap;
import io.engram4j.train.Generator;
import io.engram4j.train.TrainOptions;
import io.engram4j.train.Trainer;
import io.engram4j.train.data.Bpe;
import io.engram4j.train.data.BpeTrainer;
import io.engram4j.train.data.PackedDocuments;
import io.engram4j.train.files.EngramExport;
import io.engram4j.train.files.EngramImport;
import io.engram4j.train.files.LlamaExport;
import io.engram4j.train.model.Decoder;
import io.engram4j.train.model.DecoderShape;
import io.engram4j.train.model.EngramForm;
import io.engram4j.train.model.EngramMemory;
import io.engram4j.train.table.TableShape;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalInt;
import java.util.UUID;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A model trained here goes on in Jlama, to the same words. */
final class TrainedModelTest {
  private static final int WIDTH = 64;
  private static final int CONTEXT = 96;
  private static final String PROMPT = "The capital of";
  private static final String TEXT =
      "The capital of Peru is Lima. The capital of France is Paris. The capital of Chad is N'Djamena."
          + " The capital of Kenya is Nairobi. The capital of Japan is Tokyo. Mountains, rivers and"
          + " wide plains lie between them; travellers who would visit every one must cross oceans,"
          + " deserts, forests, borders without number. ";

  @TempDir private Path directory;

  private static Decoder decoder(EngramMemory memory, DecoderShape shape) {
    return Decoder.inMemory(shape, memory, TableShape.of(1, 1), 1);
  }

  @Test
  void jlamaGeneratesWhatTheTrainerDoes() throws IOException {
    Bpe bpe = new BpeTrainer().add(TEXT.repeat(2)).train(384);
    assertEquals(384, bpe.size()); // Jlama's logits want a multiple of 128
    DecoderShape shape = new DecoderShape(bpe.size(), WIDTH, 3, 4, 96, 1, CONTEXT);
    TokenMap map = TokenMap.build(bpe);
    EngramConfig config =
        EngramConfig.builder()
            .family(EngramForm.V41.family())
            .hiddenSize(WIDTH)
            .branches(1)
            .layerIds(List.of(1))
            .ngrams(3, 200)
            .heads(2, 32)
            .padTokenId(Bpe.PAD)
            .compressedSize(OptionalInt.of(map.distinct()))
            .build();
    Path llama = directory.resolve("llama");
    Path engram = directory.resolve("engram");
    Path tokenizer = directory.resolve("tokenizer.json");
    bpe.write(tokenizer);
    try (Decoder trained = decoder(EngramMemory.of(EngramForm.V41, config, map), shape)) {
      PackedDocuments data =
          new PackedDocuments("capitals", List.of(bpe.encode(TEXT.repeat(30))), CONTEXT, 1);
      TrainOptions options = TrainOptions.defaults(60).withBatch(4, 2);
      try (Trainer trainer = new Trainer(trained, data, options)) {
        for (int i = 0; i < 60; i++) {
          trainer.step();
        }
      }
      EngramExport.write(trained, tokenizer, engram);
      LlamaExport.write(trained, tokenizer, llama);
      try (EngramModel model = EngramModels.open(engram);
          Decoder asExported = decoder(EngramImport.memory(model), shape);
          EngramJlama jlama = EngramJlama.load(llama, model, DType.F32)) {
        float[] dense = trained.parameters().values();
        System.arraycopy(dense, 0, asExported.parameters().values(), 0, dense.length);
        EngramImport.read(model, asExported, count -> {});
        String with = expected(bpe, asExported, true);
        String without = expected(bpe, asExported, false);
        assertNotEquals(without, with);
        assertTrue(with.contains("is"), with);
        assertBegins(with, generate(jlama));
        jlama.setEnabled(false);
        assertBegins(without, generate(jlama));
        assertEquals(1, model.tables().size());
      }
    }
  }

  /** Jlama begins with the id that begins documents. */
  private static String expected(Bpe bpe, Decoder decoder, boolean memory) {
    int[] prompt = bpe.encode(PROMPT);
    int[] ids = new int[prompt.length + 1];
    ids[0] = Bpe.BEGIN;
    System.arraycopy(prompt, 0, ids, 1, prompt.length);
    return bpe.decode(new Generator(decoder).generate(ids, 40, Bpe.END, memory));
  }

  /** The two count tokens differently, so one ends earlier. */
  private static void assertBegins(String expected, String actual) {
    int both = Math.min(expected.length(), actual.length());
    assertTrue(both > 30, actual);
    assertEquals(expected.substring(0, both), actual.substring(0, both));
  }

  private static String generate(EngramJlama jlama) {
    return jlama
        .model()
        .generate(UUID.randomUUID(), PromptContext.of(PROMPT), 0, 40 + PROMPT.length())
        .responseText;
  }
}
