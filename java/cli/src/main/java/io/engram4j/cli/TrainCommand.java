package io.engram4j.cli;

import io.engram4j.train.Recipe;
import io.engram4j.train.TrainOptions;
import io.engram4j.train.TrainRun;
import io.engram4j.train.analysis.Suite;
import io.engram4j.train.corpus.Corpus;
import io.engram4j.train.model.DecoderShape;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Trains a small decoder with Engram. */
@Command(
    name = "train",
    header = "Train a small language model with Engram on texts.",
    description =
        "Trains a tokenizer, tables and the decoder around them, and writes a model directory that"
            + " every other command takes. Stopped at any moment, it goes on when it is run again,"
            + " to the same bits.")
final class TrainCommand implements Callable<Integer> {
  private static final int TOLD = 100; // steps from one line to the next

  @Mixin Output output = new Output();

  @Parameters(index = "0", paramLabel = "OUT", description = "The directory for the model.")
  Path out = Path.of("");

  @Parameters(
      index = "1..*",
      arity = "0..*",
      paramLabel = "FILE",
      description = "Files of UTF-8 text, or - for standard input.")
  List<Path> files = List.of();

  @Option(
      names = "--texts",
      paramLabel = "DIR",
      description = "Train on what ci/fetch-texts puts into DIR, as the shipped model was.")
  @Nullable Path texts;

  @Option(
      names = "--recipe",
      paramLabel = "NAME",
      defaultValue = "small",
      description =
          "small (64 wide, 410,000 tokens) or shipped (96 wide, 4 streams, 8.2 million tokens);"
              + " default ${DEFAULT-VALUE}.")
  String recipe = "small";

  @Option(
      names = "--suite",
      paramLabel = "NAME",
      description =
          "paper: train a dense model, one with memory, tables of several sizes and splits between"
              + " experts and tables, for engram analyze to compare.")
  @Nullable String suite;

  @Option(names = "--quick", description = "Fewer runs of the suite, of 200 steps in place of 400.")
  boolean quick;

  @Option(names = "--steps", paramLabel = "N", description = "Steps of 2,048 tokens.")
  @Nullable Integer steps;

  @Option(names = "--width", paramLabel = "N", description = "Width of a stream.")
  @Nullable Integer width;

  @Option(names = "--layers", paramLabel = "N", description = "Layers of the decoder.")
  @Nullable Integer layers;

  @Option(names = "--streams", paramLabel = "N", description = "Parallel residual streams.")
  @Nullable Integer streams;

  @Option(names = "--rows", paramLabel = "N", description = "Rows of a table's column, about.")
  @Nullable Long rows;

  @Option(names = "--vocabulary", paramLabel = "N", description = "Ids of the tokenizer.")
  @Nullable Integer vocabulary;

  @Option(names = "--dense", description = "Without memory, but wider: the same cost a token.")
  boolean dense;

  @Option(
      names = "--without-memory",
      paramLabel = "SHARE",
      description = "Leave the memory out of this share of the sequences.")
  @Nullable Float withoutMemory;

  @Option(names = "--seed", paramLabel = "N", description = "Of what is drawn (default 0).")
  long seed;

  @Option(names = "--threads", paramLabel = "N", description = "The result is the same for any.")
  @Nullable Integer threads;

  @Override
  public Integer call() throws IOException {
    if (suite != null) {
      return suite();
    }
    Recipe wanted = recipe();
    requireRoom();
    output.line("reading the texts, training a tokenizer of %d ids", wanted.shape().vocabulary());
    Corpus corpus = corpus(wanted.shape().vocabulary());
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("out", out.toString());
    json.put("text_tokens", corpus.textTokens());
    json.put("vocabulary", corpus.bpe().size());
    json.put("steps", wanted.options().steps());
    json.put("seed", seed);
    output.line(
        "%s tokens of text; %s steps of %s tokens",
        Text.count(corpus.textTokens()),
        Text.count(wanted.options().steps()),
        Text.count((long) wanted.options().batch() * wanted.shape().context()));
    train(wanted, corpus, json);
    output.line("written to %s; engram analyze %s shows what it knows", out, out);
    output.json(json);
    return 0;
  }

  private int suite() throws IOException {
    if (!"paper".equals(suite)) {
      throw new IllegalArgumentException("--suite " + suite + ": there is paper");
    }
    Files.createDirectories(out);
    List<Suite.Plan> plans = Suite.plans(quick, steps != null ? steps : quick ? 200 : 400, seed);
    Corpus corpus = corpus(plans.getFirst().recipe().shape().vocabulary());
    List<Suite.Run> runs = new ArrayList<>();
    String how = Suite.how(plans.getFirst(), corpus);
    if (Files.exists(out.resolve(Suite.NAME))) {
      Suite earlier = Suite.read(out);
      if (!earlier.how().equals(how)) {
        throw new IOException(
            out + " has runs of " + earlier.how() + ", not of " + how + "; give another directory");
      }
      runs.addAll(earlier.runs());
    }
    for (Suite.Plan plan : plans) {
      if (runs.stream().anyMatch(run -> run.name().equals(plan.name()))) {
        continue; // an earlier command did it
      }
      int steps = plan.recipe().options().steps();
      try (Progress progress = new Progress(plan.name(), steps, " steps", 1)) {
        runs.add(Suite.run(plan, corpus, out, (result, decoder) -> progress.step(1)));
      }
      new Suite(how, runs).write(out);
      Suite.Run run = runs.getLast();
      output.line(
          "%-12s loss %.3f  %s weights used of %s, %s in tables",
          run.name(),
          run.loss(),
          Text.count(run.used()),
          Text.count(run.weights()),
          Text.count(run.tableParameters()));
    }
    output.line("engram analyze %s shows them", out);
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("out", out.toString());
    json.put("runs", runs);
    output.json(json);
    return 0;
  }

  private void train(Recipe wanted, Corpus corpus, Map<String, Object> json) throws IOException {
    int all = wanted.options().steps();
    long before = TrainRun.stepsDone(out);
    long began = System.nanoTime();
    double[] sum = new double[2];
    List<Double> losses = new ArrayList<>();
    try (Progress progress = new Progress("training", all, " steps", 1)) {
      progress.step(before);
      TrainRun.run(
          wanted,
          corpus,
          out,
          (result, decoder) -> {
            progress.step(1);
            sum[0] += result.loss();
            sum[1]++;
            if ((result.step() + 1) % TOLD == 0 || result.step() + 1 == all) {
              double loss = sum[0] / sum[1];
              losses.add(Math.round(loss * 1e4) / 1e4);
              double seconds = (System.nanoTime() - began) / 1e9;
              double rate = (result.step() + 1 - before) * tokens(wanted) / seconds;
              output.line(
                  "step %6d  loss %.3f  %s tokens/s",
                  result.step() + 1, loss, Text.count(Math.round(rate)));
              java.util.Arrays.fill(sum, 0);
            }
          });
    }
    double seconds = (System.nanoTime() - began) / 1e9;
    json.put("seconds", Math.round(seconds * 10) / 10.0);
    json.put("tokens_per_s", Math.round((all - before) * tokens(wanted) / seconds));
    json.put("losses", losses);
  }

  private static double tokens(Recipe recipe) {
    return (double) recipe.options().batch() * recipe.shape().context();
  }

  private void requireRoom() throws IOException {
    if (TrainRun.isDone(out)) {
      throw new IOException(out + " has a trained model already; give another directory");
    }
  }

  private Recipe recipe() {
    Recipe base =
        switch (recipe.toLowerCase(Locale.ROOT)) {
          case "small" -> Recipe.small();
          case "shipped" -> Recipe.shipped();
          default ->
              throw new IllegalArgumentException(
                  "--recipe " + recipe + ": there are small and shipped");
        };
    TrainOptions options =
        TrainOptions.defaults(steps == null ? base.options().steps() : steps)
            .withoutMemory(withoutMemory == null ? base.options().withoutMemory() : withoutMemory)
            .withSeed(seed);
    if (threads != null) {
      options = options.withThreads(threads);
    }
    DecoderShape like = base.shape();
    DecoderShape shape =
        new DecoderShape(
            vocabulary == null ? like.vocabulary() : vocabulary,
            width == null ? like.width() : width,
            layers == null ? like.layers() : layers,
            like.heads(),
            like.inner(),
            streams == null ? like.streams() : streams,
            like.context());
    Recipe chosen = base.with(shape).with(options).withRows(rows == null ? base.rows() : rows);
    return dense ? chosen.dense() : chosen;
  }

  private Corpus corpus(int size) throws IOException {
    if ((texts == null) == files.isEmpty()) {
      throw new IllegalArgumentException("give texts to train on: files, or --texts DIR");
    }
    if (texts != null) {
      return Corpus.read(texts, size);
    }
    List<String> read = new ArrayList<>();
    for (Path file : files) {
      read.add(TextInput.readFile(file));
    }
    return Corpus.ofTexts(read, size);
  }
}
