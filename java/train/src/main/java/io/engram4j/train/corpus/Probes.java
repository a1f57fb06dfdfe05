package io.engram4j.train.corpus;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.engram4j.train.data.Bpe;
import io.engram4j.train.data.TargetKinds;
import io.engram4j.train.model.Batch;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/**
 * What a trained model is asked when it is analysed: held-out text, of which each target's kind is
 * known, and questions. Lies beside the model as {@code probes.json}, so that an analysis needs no
 * training text. Immutable, if its arrays are left alone.
 *
 * @param length tokens of a sequence
 * @param ids of held-out text
 * @param targets the ids that follow, -1 where none is asked for
 * @param start where each token's document begins
 * @param names whether a target is a name: capitalised inside a sentence
 * @param seen how often the 4-gram that ends with the target is in the training text; -1 where
 *     there is none
 * @param trigrams how often the 3-gram that ends with the token is there, likewise
 * @param served share of the training text's 3-grams that are its 1, 2, 4, ... most frequent ones
 * @param trained questions in phrasings that were trained
 * @param asked questions in phrasings that were not
 * @param reading questions on passages
 */
@SuppressWarnings("ArrayRecordComponent") // views, never compared or hashed
public record Probes(
    int length,
    int[] ids,
    int[] targets,
    int[] start,
    boolean[] names,
    int[] seen,
    int[] trigrams,
    double[] served,
    List<Question> trained,
    List<Question> asked,
    List<Question> reading) {
  /** The file's name. */
  public static final String NAME = "probes.json";

  static Probes of(
      Batch held,
      Bpe bpe,
      int[] training,
      List<Question> trained,
      List<Question> asked,
      List<Question> reading) {
    TargetKinds kinds = TargetKinds.of(held, bpe, training);
    int tokens = held.tokens();
    boolean[] names = new boolean[tokens];
    for (int i = 0; i < tokens; i++) {
      names[i] = kinds.name(i);
    }
    return new Probes(
        held.length(),
        held.ids(),
        held.targets(),
        held.start(),
        names,
        kinds.counts(),
        TargetKinds.trigrams(held, training),
        TargetKinds.served(training),
        trained,
        asked,
        reading);
  }

  /** Returns the held-out text with memory, or without. */
  public Batch batch(boolean memory) {
    boolean[] live = new boolean[ids.length];
    java.util.Arrays.fill(live, memory);
    return new Batch(ids.length / length, length, ids, targets, start, live);
  }

  /** Writes the file into a model's directory. */
  public void write(Path directory) throws IOException {
    Files.write(directory.resolve(NAME), new ObjectMapper().writeValueAsBytes(this));
  }

  /**
   * Reads a model's probes.
   *
   * @throws IOException if there are none, or they are no such file
   */
  public static Probes read(Path directory) throws IOException {
    Path file = directory.resolve(NAME);
    Probes probes = new ObjectMapper().readValue(file.toFile(), Probes.class);
    try {
      probes.batch(true);
      if (probes.names.length != probes.ids.length
          || probes.seen.length != probes.ids.length
          || probes.trigrams.length != probes.ids.length) {
        throw new IllegalArgumentException(
            probes.ids.length
                + " ids have "
                + probes.names.length
                + " names and "
                + probes.seen.length
                + " and "
                + probes.trigrams.length
                + " counts");
      }
    } catch (IllegalArgumentException | NullPointerException | ArithmeticException e) {
      throw new IOException(file + ": " + e, e);
    }
    return probes;
  }
}
