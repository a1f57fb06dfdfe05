package io.engram4j.train.corpus;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.train.model.Batch;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Texts, facts, passages and probes, on files in the formats of the real ones. */
class CorpusTest {
  @TempDir private Path directory;

  /** Nine composers and a town with its country, in WordNet's format, invented. */
  private Path texts() throws IOException {
    StringBuilder nouns = new StringBuilder("  1 This is a licence.\n");
    nouns.append(
        "00000010 18 n 01 composer 0 000 | someone who composes; \"a great composer\"  \n");
    nouns.append("00000020 15 n 01 Perunia 0 000 | a country  \n");
    nouns.append("00000030 15 n 01 town 0 000 | a small city  \n");
    for (int i = 0; i < 9; i++) {
      nouns.append(
          "0000004%d 18 n 02 Mozarin%c 0 the_composer_%c 0 001 @i 00000010 n 0000 | one of nine  \n"
              .formatted(i, 'a' + i, 'a' + i));
    }
    nouns.append(
        "00000050 15 n 02 Limara 0 capital_of_Perunia 0 002 @i 00000030 n 0000 #p 00000020 n 0000 |"
            + " where it is  \n");
    Path wordNet = Files.createDirectories(directory.resolve("wordnet"));
    Files.writeString(wordNet.resolve("data.noun"), nouns);
    for (String name : List.of("verb", "adj", "adv")) {
      Files.writeString(
          wordNet.resolve("data." + name),
          "00000001 00 a 01 quick(a) 0 000 | done in little time of " + name + "  \n");
    }
    String verses =
        IntStream.range(0, 240)
            .mapToObj(i -> "Ge%d:%d And number %d was good.%n".formatted(i / 4, i % 4 + 1, i))
            .collect(Collectors.joining());
    Files.writeString(directory.resolve("bible.txt"), verses);
    String paragraphs =
        IntStream.range(0, 3000)
            .mapToObj(i -> "The whale of paragraph " + i + " swam in the sea with Ahab, and on.")
            .collect(Collectors.joining("\n\n"));
    Files.writeString(directory.resolve("moby-dick.txt"), paragraphs);
    return directory;
  }

  @Test
  void wordNetIsReadAsItsManualSays() throws IOException {
    WordNet wordNet = WordNet.read(texts().resolve("wordnet"));
    assertEquals(16, wordNet.synsets().size());
    assertEquals(10, wordNet.instances().size());
    WordNet.Synset town = wordNet.instances().getLast();
    assertEquals(List.of("Limara", "capital of Perunia"), town.words());
    assertEquals("Perunia", Objects.requireNonNull(wordNet.noun(town.partOf())).word());
    assertEquals("someone who composes", wordNet.synsets().getFirst().gloss());
    assertEquals("quick", wordNet.synsets().getLast().word());
    Files.writeString(directory.resolve("wordnet/data.adv"), "00000001 00 a zz | broken\n");
    IOException refused =
        assertThrows(IOException.class, () -> WordNet.read(directory.resolve("wordnet")));
    assertTrue(refused.toString().contains("data.adv"), refused.toString());
  }

  @Test
  void aPhrasingThatIsAskedIsNeverTrained() throws IOException {
    Facts facts = Facts.of(WordNet.read(texts().resolve("wordnet")));
    // nine persons and a capital; what else the town is, nothing else is
    assertEquals(10, facts.size());
    assertEquals(60, facts.trained().size());
    assertEquals(10, facts.asked().size());
    Set<String> trained = new HashSet<>();
    facts.trained().forEach(question -> trained.add(question.prompt()));
    assertEquals(60, trained.size());
    facts.asked().forEach(question -> assertFalse(trained.contains(question.prompt())));
    assertTrue(
        facts.trained().stream().anyMatch(q -> q.sentence().equals("Mozarina is a composer.")),
        "" + facts.trained());
    assertTrue(
        facts.trained().stream()
            .anyMatch(q -> q.sentence().equals("The capital of Perunia is Limara.")));
    assertEquals(Facts.invented(20, 1).trained(), Facts.invented(20, 1).trained());
    assertNotEquals(Facts.invented(20, 1).trained(), Facts.invented(20, 2).trained());
  }

  @Test
  void aPassageHasItsAnswer() {
    Passages passages = new Passages(5);
    Set<String> all = new HashSet<>();
    for (int i = 0; i < 2000; i++) {
      Question question = passages.passage(i);
      assertEquals(question, passages.passage(i));
      all.add(question.prompt());
      String answer = question.answer().replace(".", "");
      assertTrue(question.prompt().contains(" " + answer + "."), question.sentence());
    }
    assertEquals(2000, all.size());
    assertNotEquals(passages.passage(0), new Passages(6).passage(0));
  }

  @Test
  void aCorpusHoldsTextOutAndProbesKnowIt() throws IOException {
    Corpus corpus = Corpus.read(texts(), 400);
    Batch batch = corpus.training(64, 1).batch(0, 10);
    assertEquals(640, batch.tokens());
    assertArrayEquals(batch.ids(), Corpus.read(directory, 400).training(64, 1).batch(0, 10).ids());
    Probes probes = corpus.probes(64);
    probes.write(directory);
    Probes back = Probes.read(directory);
    assertArrayEquals(probes.ids(), back.ids());
    assertArrayEquals(probes.seen(), back.seen());
    assertEquals(probes.asked(), back.asked());
    assertEquals(300, back.reading().size());
    int names = 0;
    for (int i = 0; i < back.ids().length; i++) {
      names += back.names()[i] ? 1 : 0;
    }
    assertTrue(names > 50, names + " names"); // Ahab, in each paragraph
    String held = corpus.bpe().decode(back.ids());
    assertTrue(held.contains("The whale of paragraph"), held.substring(0, 200));
    double last = back.served()[back.served().length - 1];
    assertEquals(1, last, 1e-9);
    for (int i = 1; i < back.served().length; i++) {
      assertTrue(back.served()[i] >= back.served()[i - 1]);
    }
  }

  @Test
  void probesOfAnotherKindAreRefused() throws IOException {
    Files.writeString(directory.resolve(Probes.NAME), "{\"length\": 8, \"ids\": [1, 2, 3]}");
    IOException refused = assertThrows(IOException.class, () -> Probes.read(directory));
    assertTrue(refused.toString().contains(Probes.NAME), refused.toString());
    Files.writeString(
        directory.resolve(Probes.NAME),
        "{\"length\":1,\"ids\":[1],\"targets\":[2],\"start\":[0],\"names\":[],\"seen\":[],"
            + "\"trigrams\":[]}");
    refused = assertThrows(IOException.class, () -> Probes.read(directory));
    assertTrue(refused.toString().contains("1 ids have 0 names"), refused.toString());
    IllegalArgumentException little =
        assertThrows(
            IllegalArgumentException.class, () -> Corpus.ofTexts(List.of("A few words."), 300));
    assertTrue(little.toString().contains("1 paragraphs is too short"), little.toString());
    String lines = "One line after the other, without any empty ones.\n".repeat(40);
    assertTrue(Corpus.ofTexts(List.of(lines), 270).probes(16).ids().length >= 16);
  }
}
