package io.engram4j.train.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.hf.TokenizerJson;
import io.engram4j.model.TokenMap;
import io.engram4j.tokenizer.TextTokenizer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class BpeTest {
  private static final String TEXT =
      """
      The whale, the white whale! It's the whale that they'll hunt, we've hunted, I'd hunt; don't.
      In 1851 there were 3,000 ships\tand  more   than that.  "Naïve" cafés; Ωmega, и другие,
      日本語のテキスト — dashes… 😀👍🏽
      """
          + String.join(
              " e", "", "\u0301", "\u00a0nbsp", "\u2003em", (char) 0x85 + "nel", "\u3000x");

  @TempDir private Path directory;

  private static Bpe bpe() {
    return new BpeTrainer().add(TEXT.repeat(3)).train(400);
  }

  @Test
  void theMostFrequentPairIsMergedFirst() {
    Bpe bpe = new BpeTrainer().add("abab abab cd cd x").train(Bpe.FIRST_MERGE + 3);
    // " cd", " abab": ab 4 times; of those that occur twice the one with the smallest ids
    assertEquals(
        "ab", new String(bpe.bytes(Bpe.FIRST_MERGE), java.nio.charset.StandardCharsets.UTF_8));
    assertEquals("abab", bpe.decode(bpe.encode("abab")[0]));
    assertEquals(Bpe.FIRST_MERGE + 3, bpe.size());
  }

  @Test
  void trainingEndsWhereNoPairRepeats() {
    Bpe bpe = new BpeTrainer().add("ab cd").train(1000);
    assertEquals(Bpe.FIRST_MERGE, bpe.size());
    assertThrows(IllegalArgumentException.class, () -> new BpeTrainer().train(100));
  }

  @Test
  void textsComeBack() {
    Bpe bpe = bpe();
    assertEquals(TEXT, bpe.decode(bpe.encode(TEXT)));
    assertArrayEquals(new int[0], bpe.encode(""));
    assertTrue(
        bpe.encode(TEXT).length < TEXT.getBytes(java.nio.charset.StandardCharsets.UTF_8).length);
  }

  /** Hugging Face's library reads what is written and cuts every text alike. */
  @Test
  void huggingFaceReadsItAlike() throws IOException {
    Path file = directory.resolve("tokenizer.json");
    Bpe bpe = bpe();
    bpe.write(file);
    SplittableRandom random = new SplittableRandom(5);
    int cases = 0;
    try (TextTokenizer theirs = TextTokenizer.open(file)) {
      for (int i = 0; i < 3000; i++) {
        String text = text(random);
        assertArrayEquals(theirs.encode(text), bpe.encode(text), text);
        cases++;
      }
      assertArrayEquals(theirs.encode(TEXT), bpe.encode(TEXT));
      assertEquals(TEXT, theirs.decode(bpe.encode(TEXT)));
    }
    assertEquals(3000, cases);
    TokenizerJson read = TokenizerJson.read(file);
    assertEquals(TokenMap.build(bpe), TokenMap.build(read));
  }

  /** Words of the text, and whatever else Unicode has. */
  private static String text(SplittableRandom random) {
    StringBuilder text = new StringBuilder();
    List<String> some =
        List.of(" ", "  ", "\n", "'s", "'ll", "'S", "the", "12", "é", "!", "\u2028");
    for (int i = random.nextInt(12); i >= 0; i--) {
      switch (random.nextInt(3)) {
        case 0 -> text.append(some.get(random.nextInt(some.size())));
        case 1 -> {
          int from = random.nextInt(TEXT.length() - 8);
          text.append(TEXT, from, from + random.nextInt(8));
        }
        default -> {
          int point = random.nextInt(0x3000);
          text.appendCodePoint(Character.isDefined(point) && point > 0 ? point : 'x');
        }
      }
    }
    // half of a pair is no text
    return text.toString().replaceAll("[\\ud800-\\udfff]", "");
  }

  @Test
  void whatIsWrittenIsReadAgain() throws IOException {
    Path file = directory.resolve("tokenizer.json");
    Bpe bpe = bpe();
    bpe.write(file);
    assertArrayEquals(bpe.encode(TEXT), Bpe.read(file).encode(TEXT));
    Files.writeString(file, "{\"model\": {\"type\": \"Unigram\"}}");
    assertThrows(IOException.class, () -> Bpe.read(file));
  }
}
