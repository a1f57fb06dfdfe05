package io.engram4j.examples.djl;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import ai.djl.Model;
import ai.djl.inference.Predictor;
import ai.djl.translate.TranslateException;
import io.engram4j.EngramModel;
import io.engram4j.djl.EngramBlock;
import io.engram4j.hf.EngramDirectory;
import io.engram4j.tck.ByteTokenizer;
import io.engram4j.tokenizer.TextTokenizer;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A model of DJL's blocks and a translator, on the real PyTorch, with Engram and without. */
final class DjlExampleTest {
  @TempDir Path directory;

  private float[] logits(TextTokenizer tokenizer, Model model, String text)
      throws TranslateException {
    try (Predictor<String, float[]> predictor =
        model.newPredictor(new DjlExample.NextTokenTranslator(tokenizer))) {
      return predictor.predict(text);
    }
  }

  @Test
  void engramEntersAModelThroughATranslator() throws IOException, TranslateException {
    DjlExample.make(directory);
    try (EngramModel engram = EngramDirectory.open(directory);
        TextTokenizer tokenizer = TextTokenizer.open(directory.resolve("tokenizer.json"));
        Model with = DjlExample.model(new EngramBlock(engram, 1));
        Model without = DjlExample.model(null)) {
      float[] memory = logits(tokenizer, with, "the cat sat");
      assertEquals(ByteTokenizer.SIZE, memory.length);
      assertArrayEquals(memory, logits(tokenizer, with, "the cat sat"));
      assertFalse(Arrays.equals(memory, logits(tokenizer, without, "the cat sat")));
      // the last token's n-grams reach two tokens back, and this model has no attention
      assertArrayEquals(memory, logits(tokenizer, with, "a dog sat"));
      assertFalse(Arrays.equals(memory, logits(tokenizer, with, "the cat sit")));
      // without Engram the last token alone decides: the weights are the same in both models
      assertArrayEquals(
          logits(tokenizer, without, "the cat sat"), logits(tokenizer, without, "not at"));
    }
  }

  @Test
  void theExampleRuns() throws IOException, TranslateException {
    DjlExample.main(new String[] {});
  }
}
