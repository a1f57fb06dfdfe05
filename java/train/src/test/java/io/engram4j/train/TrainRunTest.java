package io.engram4j.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.train.corpus.Corpus;
import io.engram4j.train.model.DecoderShape;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What {@code engram train} does, stopped in the midst. */
class TrainRunTest {
  private static final Corpus CORPUS =
      Corpus.ofTexts(
          List.of(
              IntStream.range(0, 400)
                  .mapToObj(i -> "Paragraph " + i % 37 + " tells of Ahab and whale " + i + ".")
                  .collect(Collectors.joining("\n\n"))),
          300);

  @TempDir private Path directory;

  private static Recipe recipe(long seed) {
    return new Recipe(
        new DecoderShape(300, 16, 2, 2, 24, 2, 16),
        List.of(1),
        50,
        1,
        32,
        TrainOptions.defaults(260).withBatch(4, 2).withSeed(seed));
  }

  @Test
  void whatWasStoppedGoesOnToTheSameBits() throws IOException {
    Path whole = directory.resolve("whole");
    TrainRun.run(recipe(1), CORPUS, whole, (result, decoder) -> {});
    Path parts = directory.resolve("parts");
    assertThrows(
        IOException.class,
        () ->
            TrainRun.run(
                recipe(1),
                CORPUS,
                parts,
                (result, decoder) -> {
                  if (result.step() == 255) {
                    throw new IOException("stopped");
                  }
                }));
    assertFalse(TrainRun.isDone(parts));
    assertEquals(250, TrainRun.stepsDone(parts));
    IOException other =
        assertThrows(
            IOException.class,
            () -> TrainRun.run(recipe(2), CORPUS, parts, (result, decoder) -> {}));
    assertTrue(other.toString().contains("seed=1"), other.toString());
    long[] first = {-1};
    TrainRun.run(
        recipe(1),
        CORPUS,
        parts,
        (result, decoder) -> {
          first[0] = first[0] < 0 ? result.step() : first[0];
        });
    assertEquals(250, first[0]);
    assertTrue(TrainRun.isDone(parts));
    assertFalse(Files.exists(parts.resolve("training")));
    for (String name :
        List.of(
            "model.safetensors",
            "decoder.safetensors",
            "config.json",
            "decoder.json",
            "tokenizer.json",
            "probes.json")) {
      assertArrayEquals(
          Files.readAllBytes(whole.resolve(name)), Files.readAllBytes(parts.resolve(name)), name);
    }
  }
}
