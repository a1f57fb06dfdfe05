package io.engram4j.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.format.ByteLevelAlphabet;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** The token map's rule, with the traps of docs/spec.md, section 2, and its file. */
class TokenMapTest {
  @TempDir Path directory;

  /** A vocabulary of byte strings. */
  private record Bytes(List<byte[]> tokens) implements TokenVocabulary {
    static Bytes of(String... tokens) {
      return new Bytes(
          Stream.of(tokens).map(token -> token.getBytes(StandardCharsets.UTF_8)).toList());
    }

    @Override
    public int size() {
      return tokens.size();
    }

    @Override
    public byte[] bytes(int id) {
      return tokens.get(id);
    }
  }

  static Stream<Arguments> normalised() {
    return Stream.of(
        Arguments.of("The", "the"),
        Arguments.of(" The ", "the"),
        Arguments.of("École", "ecole"),
        Arguments.of("ﬁ", "fi"), // a ligature
        Arguments.of("ＡＢ", "ab"), // wide forms
        Arguments.of("ΟΔΟΣ", "οδοσ"), // no final sigma
        Arguments.of("İ", "i"),
        Arguments.of("a\u0903\u20dd", "a"), // Mc and Me marks go too
        Arguments.of(" ", " "), // a lone space stays
        Arguments.of("\n \t", " "),
        Arguments.of("\u00a0", " "), // NFKC makes it a space
        Arguments.of("a \r\n b", "a b"),
        Arguments.of("\u000b", ""), // stripped, not collapsed
        Arguments.of("\u001c", "\u001c"), // no White_Space, whatever Java says
        Arguments.of("\u0085x\u2028", "x"),
        Arguments.of("\ue000", " "),
        Arguments.of(" \ue000a", " a"),
        Arguments.of("\u0301", ""), // a lone mark
        Arguments.of("", ""));
  }

  @ParameterizedTest
  @MethodSource("normalised")
  void normalises(String text, String expected) {
    assertEquals(expected, TokenNormalizer.normalize(text));
  }

  @Test
  void idsCountUpAsKeysAppear() {
    TokenMap map = TokenMap.build(Bytes.of("the", "a", " The", "THE", "\u000b", "\u0301", "A"));
    assertEquals(
        List.of(0, 1, 0, 0, 2, 3, 1), java.util.Arrays.stream(map.toArray()).boxed().toList());
    assertEquals(4, map.distinct());
  }

  @Test
  void partialCharactersKeepTheirRawForm() {
    Bytes vocabulary =
        new Bytes(List.of(new byte[] {(byte) 0xc3}, "Ã".getBytes(StandardCharsets.UTF_8)));
    assertEquals("Ã", vocabulary.raw(0));
    TokenMap map = TokenMap.build(vocabulary);
    assertEquals(2, map.distinct(), "raw Ã and normalised a are different keys");
  }

  @Test
  void theAlphabetGoesBothWays() {
    byte[] all = new byte[256];
    for (int b = 0; b < 256; b++) {
      all[b] = (byte) b;
    }
    String encoded = ByteLevelAlphabet.encode(all);
    assertEquals(256, encoded.chars().distinct().count());
    assertEquals('Ġ', encoded.charAt(' '));
    org.junit.jupiter.api.Assertions.assertArrayEquals(all, ByteLevelAlphabet.decode(encoded));
    assertEquals(
        " a",
        new String(ByteLevelAlphabet.decode(" a"), StandardCharsets.UTF_8),
        "a space is outside the alphabet, so the token is its own text");
  }

  @Test
  void aMapSurvivesItsFile() throws IOException {
    TokenMap map = TokenMap.build(Bytes.of("the", "a", " The"));
    Path file = directory.resolve("map.bin");
    TokenMapFile.save(map, file);
    assertEquals(map, TokenMapFile.load(file));
    assertEquals(map.sha256(), TokenMapFile.load(file).sha256());
    try (Stream<Path> files = Files.list(directory)) {
      assertEquals(1, files.count(), "a temporary file was left");
    }
  }

  @Test
  void everyDamagedByteIsNoticed() throws IOException {
    Path file = directory.resolve("map.bin");
    TokenMapFile.save(TokenMap.build(Bytes.of("the", "a", " The", "b")), file);
    byte[] good = Files.readAllBytes(file);
    for (int at = 0; at < good.length; at++) {
      byte[] bad = good.clone();
      bad[at] ^= 1;
      Files.write(file, bad);
      IOException e = assertThrows(IOException.class, () -> TokenMapFile.load(file), "byte " + at);
      assertTrue(String.valueOf(e.getMessage()).contains("map.bin"), e.getMessage());
    }
    for (int length = 0; length < good.length; length++) {
      Files.write(file, java.util.Arrays.copyOf(good, length));
      assertThrows(IOException.class, () -> TokenMapFile.load(file), "length " + length);
    }
    Files.write(file, java.util.Arrays.copyOf(good, good.length + 4));
    assertThrows(IOException.class, () -> TokenMapFile.load(file));
    assertThrows(IOException.class, () -> TokenMapFile.load(directory));
  }

  @Test
  void aMapThatCannotBeWrittenLeavesNothing() {
    TokenMap map = TokenMap.build(Bytes.of("the"));
    Path missing = directory.resolve("no/such/map.bin");
    assertThrows(IOException.class, () -> TokenMapFile.save(map, missing));
  }

  @Test
  void impossibleMapsAreRefused() {
    for (int[] wrong : new int[][] {{}, {1}, {0, 2}, {0, -1}}) {
      assertThrows(IllegalArgumentException.class, () -> TokenMap.of(wrong));
    }
    assertThrows(IllegalArgumentException.class, () -> TokenMap.build(Bytes.of()));
    TokenMap map = TokenMap.of(new int[] {0, 0, 1});
    assertThrows(IndexOutOfBoundsException.class, () -> map.get(3));
    assertThrows(IndexOutOfBoundsException.class, () -> map.get(-1));
  }
}
