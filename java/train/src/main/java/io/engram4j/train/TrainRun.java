package io.engram4j.train;

import io.engram4j.train.corpus.Corpus;
import io.engram4j.train.data.Sequences;
import io.engram4j.train.files.DecoderDirectory;
import io.engram4j.train.model.Decoder;
import io.engram4j.train.table.TableShape;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.stream.Stream;

/**
 * Trains a model from a corpus and a recipe into a directory. What was begun there and stopped goes
 * on from its last checkpoint, to the same bits; what is done is left as it is.
 */
public final class TrainRun {
  private static final int CHECKPOINT_STEPS = 250;
  private static final String RUNNING = "training";

  private TrainRun() {}

  /** Is told what happens. For one thread. */
  public interface Listener {
    /** After a step; the decoder is not to be changed. */
    void step(Trainer.Result result, Decoder decoder) throws IOException;
  }

  /** Returns whether a directory has a model whose training is done. */
  public static boolean isDone(Path directory) {
    return Files.exists(directory.resolve("decoder.json"));
  }

  /** Returns how many steps the checkpoint of a directory has behind it. */
  public static long stepsDone(Path directory) throws IOException {
    return Math.max(0, Trainer.lastStep(directory.resolve(RUNNING)));
  }

  /**
   * Trains.
   *
   * @param directory in which the model is at the end, and its checkpoints until then
   * @throws IOException if it cannot be written, or holds a checkpoint of another recipe
   */
  public static void run(Recipe recipe, Corpus corpus, Path directory, Listener listener)
      throws IOException {
    Path running = directory.resolve(RUNNING);
    Files.createDirectories(running);
    TrainOptions options = recipe.options();
    Sequences data = corpus.training(recipe.shape().context(), options.seed());
    long last = Trainer.lastStep(running);
    try (Decoder decoder =
            Decoder.inFiles(
                recipe.shape(corpus.bpe()),
                recipe.memory(corpus.bpe()),
                TableShape.of(1, 1),
                running,
                last,
                options.seed());
        Trainer trainer =
            last < 0
                ? new Trainer(decoder, data, options)
                : Trainer.resume(running, decoder, data, options)) {
      while (trainer.stepsDone() < options.steps()) {
        listener.step(trainer.step(), decoder);
        if (trainer.stepsDone() % CHECKPOINT_STEPS == 0 && trainer.stepsDone() < options.steps()) {
          trainer.checkpoint(running);
        }
      }
      write(decoder, corpus, directory);
    }
    delete(running);
  }

  /**
   * Writes a trained model with its tokenizer and its probes.
   *
   * @throws IOException if it cannot be written
   */
  public static void write(Decoder decoder, Corpus corpus, Path directory) throws IOException {
    Files.createDirectories(directory);
    // what an earlier run left half; decoder.json comes last, by which a model is done
    for (String name : new String[] {"model.safetensors", "decoder.safetensors"}) {
      Files.deleteIfExists(directory.resolve(name));
    }
    corpus.probes(decoder.shape().context()).write(directory);
    Path tokenizer = directory.resolve("tokenizer.json.tmp");
    try {
      corpus.bpe().write(tokenizer);
      DecoderDirectory.write(decoder, tokenizer, directory);
    } finally {
      Files.deleteIfExists(tokenizer);
    }
  }

  private static void delete(Path directory) throws IOException {
    try (Stream<Path> files = Files.walk(directory)) {
      for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
        Files.delete(file);
      }
    }
  }
}
