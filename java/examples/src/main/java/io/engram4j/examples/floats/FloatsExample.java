package io.engram4j.examples.floats;

import io.engram4j.EngramModel;
import io.engram4j.hf.EngramDirectory;
import io.engram4j.tck.ByteTokenizer;
import io.engram4j.tck.RandomModel;
import io.engram4j.tokenizer.TextTokenizer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/**
 * Generates text with Engram layers in a transformer on {@code float[]}: plain, by drafts, and
 * twice from one prompt. Weights are random, so the text is noise; what counts is that drafts and
 * chunks do not change it.
 */
public final class FloatsExample {
  static final Transformer.Shape SHAPE = new Transformer.Shape(ByteTokenizer.SIZE, 64, 4, 4, 128);

  private FloatsExample() {}

  /** Runs the example on a model that it makes. */
  public static void main(String[] args) throws IOException {
    Path directory = make(Files.createTempDirectory("engram"));
    String prompt = "the cat sat on the mat and the cat sat on the hat and the ";
    Transformer transformer = Transformer.random(SHAPE, 1);
    try (EngramModel engram = EngramDirectory.open(directory);
        TextTokenizer tokenizer = TextTokenizer.open(directory.resolve("tokenizer.json"))) {
      int[] ids = tokenizer.encode(prompt);
      Sampler sampler = new Sampler(0.7, 0.9, 42);
      Generation plain = new Generation(new Context(transformer, engram), sampler).prompt(ids, 16);
      Generation drafts = new Generation(new Context(transformer, engram), sampler).prompt(ids, 5);
      Generation other = drafts.fork(new Sampler(0.7, 0.9, 43));
      System.out.println("one by one: " + tokenizer.decode(plain.decode(40)));
      System.out.println("by drafts:  " + tokenizer.decode(drafts.speculate(40, 4)));
      System.out.println("other seed: " + tokenizer.decode(other.decode(40)));
      System.out.println(drafts.accepted() + " of " + drafts.drafted() + " drafts were right");
    }
  }

  /** Makes a small Engram model with a tokenizer of bytes. */
  static Path make(Path directory) throws IOException {
    RandomModel.small(SHAPE.hidden(), 1, List.of(1, 3)).write(directory, bytes -> {});
    ByteTokenizer.write(directory);
    return directory;
  }
}
