package io.engram4j.train.corpus;

import io.engram4j.train.corpus.WordNet.Synset;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * Documents to train on and documents held out: of every hundred blocks of a text four are kept
 * back. Immutable and thread-safe.
 *
 * @param training documents
 * @param held documents that training never sees
 */
public record Texts(List<String> training, List<String> held) {
  private static final int BLOCKS = 100;
  private static final int PARAGRAPHS = 24; // of a document of a long text
  private static final int FEW = 50;
  private static final int LEAST = 13; // the first that is held out

  public Texts {
    training = List.copyOf(training);
    held = List.copyOf(held);
  }

  /**
   * Splits a text into documents of some paragraphs: at empty lines, or where there are few of them
   * at the ends of lines.
   *
   * @throws IllegalArgumentException if there is too little text to hold some of it out
   */
  public static Texts ofParagraphs(String text) {
    String[] paragraphs = text.split("\\R\\s*\\R", -1);
    String between = "\n\n";
    if (paragraphs.length < FEW) {
      paragraphs = text.split("\\R", -1);
      between = "\n";
    }
    int each = Math.clamp(paragraphs.length / FEW, 1, PARAGRAPHS);
    List<String> documents = new ArrayList<>();
    StringBuilder document = new StringBuilder();
    int count = 0;
    for (String paragraph : paragraphs) {
      document.append(paragraph.strip()).append(between);
      if (++count % each == 0) {
        documents.add(document.toString());
        document.setLength(0);
      }
    }
    documents.add(document.toString());
    documents.removeIf(String::isBlank);
    if (documents.size() < LEAST) {
      throw new IllegalArgumentException(
          "a text of "
              + documents.size()
              + " paragraphs is too short to hold some of it out; at least "
              + LEAST
              + " are needed");
    }
    return split(documents);
  }

  /** Reads verses, a line each behind its place such as {@code Ge1:1}; a chapter is a document. */
  public static Texts ofVerses(Path file) throws IOException {
    List<String> documents = new ArrayList<>();
    StringBuilder document = new StringBuilder();
    for (String line : Files.readAllLines(file)) {
      int cut = line.indexOf(' ');
      if (cut < 0) {
        continue;
      }
      if (line.substring(0, cut).endsWith(":1") && !document.isEmpty()) {
        documents.add(document.toString());
        document.setLength(0);
      }
      document.append(line.substring(cut + 1).strip()).append('\n');
    }
    documents.add(document.toString());
    return split(documents);
  }

  /** Takes each meaning of WordNet with its words as a document. */
  public static Texts ofGlosses(WordNet wordNet) {
    List<String> documents = new ArrayList<>();
    for (Synset synset : wordNet.synsets()) {
      documents.add(String.join(", ", synset.words()) + ": " + synset.gloss() + ".");
    }
    return split(documents);
  }

  private static Texts split(List<String> documents) {
    List<String> training = new ArrayList<>();
    List<String> held = new ArrayList<>();
    for (int i = 0; i < documents.size(); i++) {
      long block = (long) i * BLOCKS / documents.size();
      // blocks, not single documents: what stands beside a held-out one is not trained either
      boolean keep = documents.size() < BLOCKS ? i % 25 == 12 : block % 25 == 12;
      (keep ? held : training).add(documents.get(i));
    }
    return new Texts(training, held);
  }

  /** Returns both, one after the other. */
  public Texts and(Texts others) {
    List<String> all = new ArrayList<>(training);
    all.addAll(others.training);
    List<String> back = new ArrayList<>(held);
    back.addAll(others.held);
    return new Texts(all, back);
  }
}
