package io.engram4j.tokenizer;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Tokenizers that end the process are refused, texts come in pieces, closing waits. */
class TextTokenizerTest {
  private static final String GPT2 =
      "'s|'t|'re|'ve|'m|'ll|'d| ?\\\\p{L}+| ?\\\\p{N}+| ?[^\\\\s\\\\p{L}\\\\p{N}]+|\\\\s+(?!\\\\S)|\\\\s+";

  @TempDir Path directory;

  /** A byte-level tokenizer of all letters, with parts put in. */
  private Path tokenizer(String parts) throws IOException {
    return Files.writeString(directory.resolve("tokenizer.json"), json(parts));
  }

  static String letters() {
    return json(split(GPT2));
  }

  private static String json(String parts) {
    StringBuilder vocabulary = new StringBuilder();
    for (char c = 'a'; c <= 'z'; c++) {
      vocabulary.append('"').append(c).append("\": ").append(c - 'a').append(", ");
    }
    for (char c = '0'; c <= '9'; c++) {
      vocabulary.append('"').append(c).append("\": ").append(26 + c - '0').append(", ");
    }
    return "{\"version\": \"1.0\", \"added_tokens\": [{\"id\": 39, \"content\": \"<end>\","
        + " \"single_word\": false, \"lstrip\": false, \"rstrip\": false, \"normalized\": false,"
        + " \"special\": true}], "
        + parts
        + "\"decoder\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true}, \"model\": {\"type\": \"BPE\", \"vocab\": {"
        + vocabulary
        + "\"Ġ\": 36, \"Ċ\": 37, \"ab\": 38}, \"merges\": [\"a b\"]}}";
  }

  private static String split(String regex) {
    return "\"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\","
        + " \"pattern\": {\"Regex\": \""
        + regex
        + "\"}, \"behavior\": \"Isolated\", \"invert\": false}, {\"type\": \"ByteLevel\","
        + " \"add_prefix_space\": false, \"trim_offsets\": true, \"use_regex\": false}]}, ";
  }

  private TextTokenizer open() throws IOException {
    return TextTokenizer.open(tokenizer(split(GPT2)));
  }

  /** DJL lets this file put a space before each text, and strip and lower it. */
  @Test
  void noOtherFileHasASay() throws IOException {
    Files.writeString(
        directory.resolve("tokenizer_config.json"),
        """
        {"add_prefix_space": true, "do_lower_case": true, "strip_accents": true,
         "clean_up_tokenization_spaces": true, "model_max_length": 2}
        """);
    try (TextTokenizer tokenizer = open()) {
      assertArrayEquals(new int[] {38, 2, 36, 27, 37, 39}, tokenizer.encode("abc 1\n<end>"));
    }
  }

  @Test
  void encodesAndDecodes() throws IOException {
    try (TextTokenizer tokenizer = open()) {
      assertArrayEquals(new int[] {38, 2, 36, 27, 37, 39}, tokenizer.encode("abc 1\n<end>"));
      assertEquals("abc 1\n", tokenizer.decode(38, 2, 36, 27, 37, 39));
      assertThrows(IllegalArgumentException.class, () -> tokenizer.decode(-1));
      assertThrows(IllegalArgumentException.class, () -> tokenizer.encode("a\ud800"));
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "\"normalizer\": {\"type\": \"Precompiled\", \"precompiled_charsmap\": \"AA==\"}, ",
        "\"normalizer\": {\"type\": \"Replace\", \"pattern\": {\"String\": \"\"}, \"content\": \"x\"}, ",
        "\"normalizer\": {\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"Prepend\", \"prepend\": \"x\"}]}, ",
        "\"pre_tokenizer\": {\"type\": \"Metaspace\"}, ",
        "\"pre_tokenizer\": {\"type\": \"Split\", \"pattern\": {\"String\": \"\"}, \"behavior\": \"Isolated\"}, ",
        "\"pre_tokenizer\": {\"type\": \"Split\", \"pattern\": {\"Regex\": \"(a+)+$\"}, \"behavior\": \"Isolated\"}, ",
        "\"post_processor\": {\"type\": \"RobertaProcessing\"}, ",
        "\"normalizer\": {\"pattern\": {\"Regex\": \"(a+)+$\"}, \"content\": \"\"}, ",
      })
  void whatTheTokenizersChokeOnIsRefused(String parts) throws IOException {
    Path file = tokenizer(parts);
    String message =
        String.valueOf(
            assertThrows(IOException.class, () -> TextTokenizer.open(file)).getMessage());
    assertTrue(message.contains("cannot be used to tokenize text: it has a"), message);
  }

  @Test
  void prefixesOfPiecesAreRefused() throws IOException {
    Path file = tokenizer(split(GPT2));
    String text = Files.readString(file);
    for (String affix : List.of("continuing_subword_prefix", "end_of_word_suffix")) {
      Files.writeString(
          file, text.replace("\"type\": \"BPE\"", "\"type\": \"BPE\", \"" + affix + "\": \"é\""));
      assertThrows(IOException.class, () -> TextTokenizer.open(file));
      Files.writeString(
          file, text.replace("\"type\": \"BPE\"", "\"type\": \"BPE\", \"" + affix + "\": null"));
      TextTokenizer.open(file).close();
    }
  }

  /** Those of GPT-2, Llama 3, DeepSeek, Qwen and o200k pass. */
  @ParameterizedTest
  @ValueSource(
      strings = {
        "'s|'t|'re| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
        "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
        "\\p{N}{1,3}",
        "[一-龥぀-ゟ゠-ヿ]+",
        "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
        "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        "(a+)?b",
        "(ab)+",
        "a{2}",
        "[a+]+",
        "(\\p{L})+",
        "(?:ab){2,5}"
      })
  void patternsOfPublishedTokenizersPass(String pattern) {
    assertNull(RegexCheck.problem(pattern));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "(a+)+$",
        "(a*)*",
        "((a+)b?)*",
        "(?:a+){2,}",
        "(a|b+)+c",
        "(a+)\\1",
        "(?:x(?:y*))+",
        "(a",
        "a)",
        "",
        "(a|a)*b",
        "(?:a|aa)+$",
        "(a{1,99}){1,99}b",
        "(a?){9}",
        "((?:a{1,})+)",
        "(a+)*?",
        "(a+)++",
        "\\k<n>",
        "(a{2,100})+"
      })
  void patternsThatRunForEverAreRefused(String pattern) {
    assertTrue(RegexCheck.problem(pattern) != null, pattern);
  }

  /** Words, spaces, ends of lines and tokens in any order. */
  private static String text(long seed, int length) {
    SplittableRandom random = new SplittableRandom(seed);
    String[] parts = {"ab", "cab", " ", "  ", "\n", "\n\n", " \n", "1", "23", "<end>", "a"};
    StringBuilder text = new StringBuilder();
    while (text.length() < length) {
      text.append(parts[random.nextInt(parts.length)]);
    }
    return text.toString();
  }

  /** By the library itself, uncut. */
  private int[] atOnce(String text) throws IOException {
    try (var uncut =
        ai.djl.huggingface.tokenizers.HuggingFaceTokenizer.builder()
            .optTokenizerPath(tokenizer(split(GPT2)))
            .optAddSpecialTokens(false)
            .optTruncation(false)
            .optPadding(false)
            .build()) {
      return java.util.Arrays.stream(uncut.encode(text).getIds())
          .mapToInt(id -> (int) id)
          .toArray();
    }
  }

  @Test
  void linesOfAnyKindAreCut() throws IOException {
    String[] kinds = {"\nAb\nab 1", "ab\r\nab", "<ab>\n<1>", "ab\n\n  ab\nb"};
    try (TextTokenizer tokenizer = open()) {
      for (String kind : kinds) {
        String text = kind.replace('A', 'a').repeat(2 * TokenPieces.MOST / kind.length());
        assertTrue(tokenizer.encode(text).length > TokenPieces.MOST / 4, kind);
      }
      assertTrue(tokenizer.encode("\na" + "b".repeat(40_000) + "\nab").length > 0);
    }
  }

  @Test
  void piecesGiveTheSameIds() throws IOException {
    try (TextTokenizer tokenizer = open()) {
      for (int seed = 0; seed < 4; seed++) {
        String text = text(seed, 200_000);
        AtomicInteger calls = new AtomicInteger();
        int[] whole = atOnce(text);
        AtomicLong heard = new AtomicLong();
        int[] pieces =
            new TokenPieces(
                    text,
                    List.of("b\na"),
                    piece -> {
                      calls.incrementAndGet();
                      assertTrue(piece.length() < 2 * TokenPieces.PIECE);
                      return tokenizer.encode(piece);
                    })
                .encode(heard::addAndGet);
        assertArrayEquals(whole, pieces);
        assertArrayEquals(whole, tokenizer.encode(text));
        assertEquals(text.length(), heard.get());
        assertTrue(calls.get() > 6, "" + calls);
      }
    }
  }

  @Test
  void whatCannotBeCutIsRefusedWhereItIsTooLong() throws IOException {
    try (TextTokenizer tokenizer = open()) {
      String long1 = "ab ".repeat(200_000);
      assertEquals(400_000, tokenizer.encode(long1).length);
      String long2 = "ab ".repeat(400_000);
      assertThrows(IllegalArgumentException.class, () -> tokenizer.encode(long2));
    }
  }

  @Test
  void closingWaitsForWhoEncodes() throws Exception {
    String text = text(1, 30_000);
    ExecutorService threads = Executors.newFixedThreadPool(4);
    try {
      for (int round = 0; round < 20; round++) {
        TextTokenizer tokenizer = open();
        int[] expected = tokenizer.encode(text);
        List<Future<?>> all = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
          all.add(
              threads.submit(() -> {
                while (true) {
                  try {
                    assertArrayEquals(expected, tokenizer.encode(text));
                  } catch (IllegalStateException e) {
                    return; // closed
                  }
                }
              }));
        }
        Thread.sleep(5);
        tokenizer.close();
        tokenizer.close();
        for (Future<?> future : all) {
          assertTimeoutPreemptively(Duration.ofSeconds(20), () -> future.get());
        }
        assertThrows(IllegalStateException.class, () -> tokenizer.decode(1));
      }
    } finally {
      threads.shutdown();
    }
  }

  @Test
  void loneSurrogatesAreRefused() {
    IllegalArgumentException e =
        assertThrows(
            IllegalArgumentException.class, () -> TextTokenizer.requireWellFormed("ab\ud800c"));
    assertEquals("the text has a lone surrogate at index 2", e.getMessage());
    assertThrows(IllegalArgumentException.class, () -> TextTokenizer.requireWellFormed("\udc00"));
    TextTokenizer.requireWellFormed("a\ud83d\ude00b");
  }

  /** What it sets before DJL is asked for anything. */
  @Test
  void noNetworkIsAsked() throws IOException {
    open().close();
    assertEquals("true", System.getProperty("ai.djl.offline"));
    assertEquals("true", System.getProperty("OPT_OUT_TRACKING"));
    assertTrue(String.valueOf(System.getProperty("DJL_CACHE_DIR")).contains("engram4j"));
  }
}
