package io.engram4j.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.EngramModel;
import io.engram4j.hf.EngramModels;
import io.engram4j.model.Dtype;
import io.engram4j.model.TokenMap;
import io.engram4j.table.RowSet;
import io.engram4j.train.Teacher.Fact;
import io.engram4j.train.data.Bpe;
import io.engram4j.train.data.BpeTrainer;
import io.engram4j.train.data.PackedDocuments;
import io.engram4j.train.files.DecoderDirectory;
import io.engram4j.train.model.Batch;
import io.engram4j.train.model.Decoder;
import io.engram4j.train.model.DecoderShape;
import io.engram4j.train.model.EngramForm;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TeacherTest {
  private static final String TEXT =
      "Mara is a baker. Tovin is a sailor. Elin is a smith. Oren is a weaver. Sila is a miller."
          + " Bram is a potter. The baker bakes, the sailor sails, the smith forges, the weaver"
          + " weaves, the miller mills and the potter turns. Mara lives in Lima, Tovin in Paris. ";

  private static final List<Fact> FACTS =
      List.of(
          Fact.parse("Quaro is a potter."),
          Fact.parse("Zelda is a smith."),
          Fact.parse("Ximo is a\tweaver."),
          Fact.parse("Yorl is a baker."),
          Fact.parse("Wenna is a sailor."));

  @TempDir private Path directory;

  @Test
  void factsAreTaughtAndTakenBackByRowsAlone() throws IOException {
    Bpe bpe = new BpeTrainer().add(TEXT.repeat(2)).train(400);
    DecoderShape shape = new DecoderShape(bpe.size(), 48, 3, 4, 64, 1, 32);
    Path tokenizer = directory.resolve("tokenizer.json");
    bpe.write(tokenizer);
    try (Decoder decoder =
        SmallModels.inMemory(
            shape,
            SmallModels.memory(shape, EngramForm.V41, TokenMap.build(bpe), List.of(0, 1), 2000),
            1)) {
      PackedDocuments data =
          new PackedDocuments("people", List.of(bpe.encode(TEXT.repeat(30))), 32, 1);
      TrainOptions options = TrainOptions.defaults(80).withBatch(8, 2);
      try (Trainer trainer = new Trainer(decoder, data, options)) {
        for (int i = 0; i < 80; i++) {
          trainer.step();
        }
      }
      DecoderDirectory.write(decoder, tokenizer, directory.resolve("model"));
      Batch text = data.sequences(0, 20);
      double before = Evaluation.of(decoder, text).loss();
      float[] dense = decoder.parameters().values().clone();
      Teacher teacher = new Teacher(decoder, bpe);
      Teacher.Lesson lesson = teacher.teach("people", FACTS, 80, 0.02f, data, step -> {});
      assertTrue(lesson.recallBefore() <= 0.4, "before " + lesson.recallBefore());
      assertEquals(1, lesson.recallAfter());
      assertArrayEquals(dense, decoder.parameters().values());
      double after = Evaluation.of(decoder, text).loss();
      assertTrue(
          after < before + 0.1,
          "other text " + before + ", then " + after + ", after steps " + lesson.steps());
      assertTrue(lesson.steps() < 80);

      assertRefused(teacher, List.of(), 10, 0.02f);
      assertRefused(teacher, List.of(new Fact(TEXT, "x")), 10, 0.02f);
      assertRefused(teacher, FACTS, -1, 0.02f);
      assertRefused(teacher, FACTS, 10, Float.NaN);
      Bpe other = new BpeTrainer().add(TEXT).train(270);
      assertThrows(IllegalArgumentException.class, () -> new Teacher(decoder, other));
      assertRowsServe(lesson.taught());
      teacher.put(lesson.before());
      assertEquals(before, Evaluation.of(decoder, text).loss());
      assertEquals(lesson.recallBefore(), teacher.recall(FACTS));
      teacher.put(lesson.taught());
      assertEquals(1, teacher.recall(FACTS));
    }
  }

  private static void assertRefused(Teacher teacher, List<Fact> facts, int steps, float rate) {
    assertThrows(
        IllegalArgumentException.class,
        () -> teacher.teach("x", facts, steps, rate, null, step -> {}));
  }

  /** A model that serves puts the lesson on, and off again. */
  private void assertRowsServe(RowSet taught) throws IOException {
    Path file = directory.resolve("people.rows");
    taught.save(file);
    try (EngramModel model = EngramModels.open(directory.resolve("model"))) {
      RowSet.Row row = taught.rows().getFirst();
      MemorySegment id = MemorySegment.ofArray(new long[] {row.rowId()});
      float[] plain = new float[32];
      float[] on = new float[32];
      float[] off = new float[32];
      model.layer(row.layerId()).gather(id, 1, MemorySegment.ofArray(plain), Dtype.F32);
      model.overlay().put(RowSet.load(file));
      model.layer(row.layerId()).gather(id, 1, MemorySegment.ofArray(on), Dtype.F32);
      model.overlay().remove("people");
      model.layer(row.layerId()).gather(id, 1, MemorySegment.ofArray(off), Dtype.F32);
      for (int i = 0; i < 32; i++) {
        assertEquals(row.values()[i], on[i], Math.abs(row.values()[i]) / 256); // bf16, as fp8 rows
      }
      assertArrayEquals(plain, off);
    }
  }

  @Test
  void linesThatAreNoFactsAreRefused() {
    assertThrows(IllegalArgumentException.class, () -> Fact.parse("word"));
    assertThrows(IllegalArgumentException.class, () -> Fact.parse("  "));
    assertThrows(IllegalArgumentException.class, () -> new Fact("who", " "));
    assertEquals(
        new Fact("The capital of Peru is", "Lima."), Fact.parse("The capital of Peru is Lima."));
  }
}
