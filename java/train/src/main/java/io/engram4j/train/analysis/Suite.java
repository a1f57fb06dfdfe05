package io.engram4j.train.analysis;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.engram4j.train.Evaluation;
import io.engram4j.train.Recipe;
import io.engram4j.train.TrainOptions;
import io.engram4j.train.TrainRun;
import io.engram4j.train.Trainer;
import io.engram4j.train.corpus.Corpus;
import io.engram4j.train.corpus.Probes;
import io.engram4j.train.model.Decoder;
import io.engram4j.train.model.DecoderShape;
import io.engram4j.train.table.TableShape;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * The runs of the paper at a small size: a dense model and one with memory of the same cost, one
 * row for all n-grams, tables of several sizes, and a budget of parameters split between experts
 * and tables. Lies as {@code suite.json} in the directory of the runs.
 *
 * @param how steps and data, by which runs can be compared
 * @param runs in the order in which they were trained
 */
public record Suite(String how, List<Run> runs) {
  /** The file's name. */
  public static final String NAME = "suite.json";

  /** The run without memory. */
  public static final String DENSE = "dense";

  /** The run with memory that costs as much. */
  public static final String ENGRAM = "engram";

  /** The run in which all n-grams share one row. */
  public static final String ONE_ROW = "one-row";

  private static final String ROWS = "rows-";
  private static final String SPLIT = "split-";
  private static final int SHARED = 128; // of the split: inner width that all tokens share
  private static final int EXPERT = 64; // and of an expert
  private static final int BUDGET = 16; // experts that the split begins with

  public Suite {
    runs = List.copyOf(runs);
  }

  /** A model to train. */
  public record Plan(String name, Recipe recipe) {}

  /**
   * A trained one.
   *
   * @param name of its directory
   * @param weights dense parameters, all experts included
   * @param used of them by a token
   * @param tableParameters numbers in its tables
   * @param loss on held-out text, in nats
   */
  public record Run(String name, long weights, long used, long tableParameters, double loss) {
    /** Returns the number in the name of a run of a series. */
    public long number() {
      return Long.parseLong(name.substring(name.lastIndexOf('-') + 1));
    }
  }

  /**
   * Returns what to train.
   *
   * @param quick fewer sizes
   * @param steps of each run
   */
  public static List<Plan> plans(boolean quick, int steps, long seed) {
    TrainOptions options = TrainOptions.defaults(steps).withSeed(seed);
    Recipe engram = Recipe.small().with(options);
    List<Plan> plans = new ArrayList<>();
    plans.add(new Plan(DENSE, engram.dense()));
    plans.add(new Plan(ENGRAM, engram));
    plans.add(new Plan(ONE_ROW, engram.withRows(1)));
    for (long rows :
        quick ? List.of(250L, 1000L, 20_000L) : List.of(250L, 1000L, 20_000L, 80_000L)) {
      plans.add(new Plan(ROWS + rows, engram.withRows(rows)));
    }
    for (int experts : quick ? List.of(16, 8, 1) : List.of(16, 14, 12, 8, 4, 1)) {
      plans.add(new Plan(SPLIT + experts, split(engram, experts)));
    }
    return plans;
  }

  /** The same number of parameters in all: what experts leave is rows. */
  private static Recipe split(Recipe like, int experts) {
    DecoderShape shape = like.shape().withInner(SHARED, experts, EXPERT);
    Recipe recipe = like.with(shape);
    if (experts == BUDGET) {
      return new Recipe(
          shape, List.of(), like.rows(), like.rowHeads(), like.rowWidth(), like.options());
    }
    long freed = (long) (BUDGET - experts) * 3 * shape.width() * EXPERT * shape.layers();
    long perRow = recipe.withRows(1).tableParameters();
    long projections =
        2 * perRow / like.engramLayers().size() * shape.width() * like.engramLayers().size();
    return recipe.withRows(Math.max(50, (freed - projections) / perRow));
  }

  /** Returns how a plan's model is trained, which all of a suite have in common. */
  public static String how(Plan plan, Corpus corpus) {
    TrainOptions options = plan.recipe().options();
    int context = plan.recipe().shape().context();
    return options.steps() + " steps, " + corpus.training(context, options.seed()).describe();
  }

  /**
   * Trains a model in memory and tells how it does. Those with whole tables and those without are
   * written, for an analysis to look at.
   *
   * @param directory of the suite; the model's is below it
   */
  public static Run run(Plan plan, Corpus corpus, Path directory, TrainRun.Listener listener)
      throws IOException {
    Recipe recipe = plan.recipe();
    TrainOptions options = recipe.options();
    Probes probes = corpus.probes(recipe.shape().context());
    try (Decoder decoder =
            Decoder.inMemory(
                recipe.shape(corpus.bpe()),
                recipe.memory(corpus.bpe()),
                TableShape.of(1, 1),
                options.seed());
        Trainer trainer =
            new Trainer(
                decoder, corpus.training(recipe.shape().context(), options.seed()), options)) {
      while (trainer.stepsDone() < options.steps()) {
        listener.step(trainer.step(), decoder);
      }
      if (plan.name().equals(DENSE) || plan.name().equals(ENGRAM)) {
        TrainRun.write(decoder, corpus, directory.resolve(plan.name()));
      }
      long table =
          decoder.tables().stream().mapToLong(t -> t.shape().rows() * t.shape().width()).sum();
      return new Run(
          plan.name(),
          decoder.parameters().size(),
          decoder.weightsUsed(),
          table,
          Evaluation.of(decoder, probes.batch(true)).loss());
    }
  }

  /** Returns a run by its name. */
  public java.util.Optional<Run> run(String name) {
    return runs.stream().filter(run -> run.name().equals(name)).findFirst();
  }

  /** Returns the runs that differ in the size of their tables, smallest first. */
  public List<Run> sizes() {
    return runs.stream()
        .filter(run -> run.name().startsWith(ROWS) || run.name().equals(ENGRAM))
        .sorted(java.util.Comparator.comparingLong(Run::tableParameters))
        .toList();
  }

  /** Returns the runs that split a budget, the one with all of it in experts first. */
  public List<Run> split() {
    return runs.stream().filter(run -> run.name().startsWith(SPLIT)).toList();
  }

  /** Writes the file. */
  public void write(Path directory) throws IOException {
    Files.write(
        directory.resolve(NAME),
        new ObjectMapper().writerWithDefaultPrettyPrinter().writeValueAsBytes(this));
  }

  /** Reads the file of a directory. */
  public static Suite read(Path directory) throws IOException {
    return new ObjectMapper().readValue(directory.resolve(NAME).toFile(), Suite.class);
  }
}
