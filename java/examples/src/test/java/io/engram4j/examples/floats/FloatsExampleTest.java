package io.engram4j.examples.floats;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.EngramModel;
import io.engram4j.hf.EngramDirectory;
import io.engram4j.tokenizer.TextTokenizer;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Texts do not depend on how their tokens were computed. */
final class FloatsExampleTest {
  private static final String PROMPT = "the cat sat on the mat and the cat sat on the hat and the ";
  private static final int COUNT = 60;

  private final Transformer transformer = Transformer.random(FloatsExample.SHAPE, 1);

  @TempDir Path directory;

  private Generation start(EngramModel engram, Sampler sampler, int chunk) throws IOException {
    try (TextTokenizer tokenizer = TextTokenizer.open(directory.resolve("tokenizer.json"))) {
      int[] ids = tokenizer.encode(PROMPT);
      assertEquals(PROMPT, tokenizer.decode(ids));
      return new Generation(new Context(transformer, engram), sampler).prompt(ids, chunk);
    }
  }

  @Test
  void speculationAndChunksChangeNothing() throws IOException {
    FloatsExample.make(directory);
    try (EngramModel engram = EngramDirectory.open(directory)) {
      for (Sampler sampler : List.of(Sampler.GREEDY, new Sampler(0.4, 0.9, 7))) {
        int[] truth = start(engram, sampler, 1).decode(COUNT);
        assertEquals(COUNT, truth.length);
        for (int chunk : new int[] {3, 16, 1000}) {
          assertArrayEquals(truth, start(engram, sampler, chunk).decode(COUNT));
          Generation drafts = start(engram, sampler, chunk);
          int[] speculated = Arrays.copyOf(drafts.speculate(COUNT, 6), COUNT);
          assertArrayEquals(truth, speculated);
          assertTrue(drafts.drafted() > drafts.accepted(), "no draft was taken back");
        }
      }
    }
  }

  @Test
  void forksGoTheirOwnWays() throws IOException {
    FloatsExample.make(directory);
    Sampler one = new Sampler(0.8, 0.95, 1);
    Sampler other = new Sampler(0.8, 0.95, 2);
    try (EngramModel engram = EngramDirectory.open(directory)) {
      Generation first = start(engram, one, 16);
      Generation second = first.fork(other);
      int[] firstText = first.decode(COUNT);
      assertArrayEquals(start(engram, other, 16).decode(COUNT), second.decode(COUNT));
      assertArrayEquals(start(engram, one, 16).decode(COUNT), firstText);
    }
  }

  @Test
  void engramChangesTheText() throws IOException {
    FloatsExample.make(directory);
    try (EngramModel engram = EngramDirectory.open(directory)) {
      int[] with = start(engram, Sampler.GREEDY, 16).decode(COUNT);
      KvCache cache = transformer.newCache();
      float[] logits = {};
      try (TextTokenizer tokenizer = TextTokenizer.open(directory.resolve("tokenizer.json"))) {
        for (int id : tokenizer.encode(PROMPT)) {
          logits = transformer.forward(new int[] {id}, cache, (layer, hidden, tokens) -> {})[0];
        }
      }
      int[] without = new int[COUNT];
      for (int i = 0; i < COUNT; i++) {
        without[i] = Sampler.GREEDY.choose(logits, cache.length());
        int[] token = {without[i]};
        logits = transformer.forward(token, cache, (layer, hidden, tokens) -> {})[0];
      }
      assertFalse(Arrays.equals(with, without), "the layers did nothing");
    }
  }

  @Test
  void theExampleRuns() throws IOException {
    FloatsExample.main(new String[] {});
  }
}
