package io.engram4j.cli;

import io.engram4j.EngramLayer;
import io.engram4j.EngramModel;
import io.engram4j.LayerStatistics;
import io.engram4j.LayerStatistics.MemoStatistics;
import io.engram4j.hf.ModelFiles;
import io.engram4j.hf.TokenizerJson;
import io.engram4j.model.NgramSeed;
import io.engram4j.remote.SlicedTables;
import io.engram4j.table.Placement;
import io.engram4j.table.RowSeed;
import io.engram4j.table.TableOptions;
import io.engram4j.tokenizer.TextTokenizer;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Runs a text through all stages. */
@Command(
    name = "run",
    header = "Run a text through every stage over seeded hidden streams; show speed and gates.")
final class RunCommand implements Callable<Integer> {
  @Mixin ModelOptions model = new ModelOptions();
  @Mixin RemoteOption remote = new RemoteOption();
  @Mixin Output output = new Output();

  @ArgGroup(multiplicity = "1")
  TextInput input = new TextInput();

  @Option(names = "--backend", paramLabel = "B", description = "The backend (default: the best).")
  @Nullable String backend;

  @Option(
      names = "--placement",
      paramLabel = "P",
      defaultValue = "mapped",
      description =
          "Where tables are held: mapped, resident, shared, pinned, streamed, auto, or remote"
              + " (default ${DEFAULT-VALUE}, with --remote remote).")
  String placement = "mapped";

  @Option(
      names = "--cache-mb",
      paramLabel = "MB",
      description = "Memory for rows of each streamed table that were read lately.")
  long cacheMegabytes;

  @Option(
      names = "--seed-rows",
      paramLabel = "FILE",
      description = "Rows that this cache begins with, from engram profile --seed.")
  @Nullable Path seedRows;

  @Option(
      names = "--memo-mb",
      paramLabel = "MB",
      description = "Memory for what n-grams contribute, so that none is projected twice.")
  long memoMegabytes;

  @Option(
      names = "--seed-ngrams",
      paramLabel = "FILE",
      description = "N-grams that this memo begins with, from engram profile --ngram-seed.")
  @Nullable Path seedNgrams;

  @Option(
      names = "--layers",
      split = ",",
      paramLabel = "L",
      description = "Only these layers (default: all).")
  int[] layers = {};

  @Option(
      names = "--repeat",
      paramLabel = "N",
      defaultValue = "1",
      description = "Run it N times and show the median speed.")
  int repeat;

  @Option(
      names = "--seed",
      paramLabel = "S",
      defaultValue = "0",
      description = "Seed of the hidden streams (default ${DEFAULT-VALUE}).")
  long seed;

  @Option(names = "--max-tokens", paramLabel = "N", description = "Run only the first N tokens.")
  int maxTokens = Integer.MAX_VALUE;

  @Option(
      names = "--gates",
      paramLabel = "HTML",
      description = "Write a page that shows the text with its gates.")
  @Nullable Path gates;

  private double tokenizeNanos; // per token

  @Override
  public Integer call() throws IOException {
    if (repeat < 1 || maxTokens < 1) {
      throw new IllegalArgumentException("--repeat and --max-tokens must be at least 1");
    }
    if (gates != null) {
      GatesPage.requireWritable(gates);
    }
    if (Arrays.stream(layers).distinct().count() < layers.length) {
      throw new IllegalArgumentException("--layers names a layer twice");
    }
    boolean elsewhere = remote.address != null;
    if (elsewhere != placement.equals("remote") && !(elsewhere && placement.equals("mapped"))) {
      throw new IllegalArgumentException(
          elsewhere
              ? "--remote has no effect with --placement " + placement
              : "--placement remote needs --remote ADDRESS");
    }
    if (seedNgrams != null && memoMegabytes == 0) {
      throw new IllegalArgumentException("--seed-ngrams needs a memo; give it --memo-mb");
    }
    ModelFiles directory = model.read();
    int[] all = tokenize(directory, input.read());
    int[] ids = Arrays.copyOf(all, Math.min(all.length, maxTokens));
    if (ids.length == 0) {
      throw new IllegalArgumentException(input.name() + " has no tokens");
    }
    try (SlicedTables tables = remote.connect();
        EngramModel opened = open(directory, tables)) {
      EngramModel served = memoMegabytes == 0 ? opened : withMemo(opened);
      List<EngramLayer> chosen =
          layers.length == 0
              ? served.layers()
              : Arrays.stream(layers).mapToObj(id -> layer(served, id)).toList();
      List<Pipeline.Result> results = run(served, chosen, ids);
      if (gates != null) {
        String[] pieces = Text.pieces(TokenizerJson.read(directory.tokenizerJson()), ids);
        GatesPage.write(gates, input.name(), chosen, pieces, results.getFirst().gates());
      }
      show(served, chosen, ids.length, results, tables);
    }
    return 0;
  }

  private int[] tokenize(ModelFiles directory, String text) throws IOException {
    try (TextTokenizer tokenizer = TextTokenizer.open(directory.tokenizerJson());
        Progress progress = new Progress("tokenize", text.length(), " kB", 1000)) {
      long start = System.nanoTime();
      int[] ids = tokenizer.encode(text, progress::step);
      tokenizeNanos = (double) (System.nanoTime() - start) / Math.max(1, ids.length);
      return ids;
    }
  }

  private EngramModel open(ModelFiles directory, @Nullable SlicedTables tables) throws IOException {
    TableOptions options = TableOptions.defaults();
    if (tables == null) {
      options = options.placement(Placement.named(placement));
    }
    options =
        RemoteOption.with(options, tables)
            .cacheBytes(ModelOptions.megabytes("--cache-mb", cacheMegabytes));
    if (seedRows != null) {
      options = options.seed(RowSeed.load(seedRows));
    }
    if (!options.placement().copies()) {
      return directory.open(ModelOptions.backend(backend), options);
    }
    long bytes = 0;
    for (int layer : directory.config().layerIds()) {
      bytes += directory.tableFile(layer).bytes();
    }
    try (Progress progress = new Progress("load", bytes, " MB", 1_000_000)) {
      return directory.open(ModelOptions.backend(backend), options.progress(progress::step));
    }
  }

  private EngramModel withMemo(EngramModel opened) throws IOException {
    EngramModel view = opened.withMemo(ModelOptions.megabytes("--memo-mb", memoMegabytes));
    if (seedNgrams != null) {
      NgramSeed ngrams = NgramSeed.load(seedNgrams);
      try (Progress progress = new Progress("remember", ngrams.size(), " n-grams", 1)) {
        view.remember(ngrams, progress::step);
      }
    }
    return view;
  }

  private static EngramLayer layer(EngramModel opened, int id) {
    try {
      return opened.layer(id);
    } catch (java.util.NoSuchElementException e) {
      throw new IllegalArgumentException(e.getMessage(), e);
    }
  }

  private List<Pipeline.Result> run(EngramModel opened, List<EngramLayer> chosen, int[] ids) {
    Pipeline pipeline = new Pipeline(opened, chosen, seed);
    List<Pipeline.Result> results = new ArrayList<>();
    try (Progress progress = new Progress("run", (long) ids.length * repeat, " tokens", 1)) {
      for (int i = 0; i < repeat; i++) {
        results.add(pipeline.run(ids, progress));
      }
    }
    return results;
  }

  private List<Map<String, Object>> showMemo(List<EngramLayer> chosen, EngramModel served) {
    List<Map<String, Object>> objects = new ArrayList<>();
    for (LayerStatistics layer : served.statistics()) {
      if (chosen.stream().anyMatch(other -> other.id() == layer.layer())) {
        MemoStatistics memo = layer.memo();
        double known = (double) memo.hits() / Math.max(1, memo.hits() + memo.misses());
        output.line(
            "layer %d: %.1f %% of n-grams were known, %s of the memo's %s are used",
            layer.layer(), 100 * known, Text.bytes(memo.bytes()), Text.bytes(memo.mostBytes()));
        objects.add(Map.of("layer", layer.layer(), "known", known, "bytes", memo.bytes()));
      }
    }
    return objects;
  }

  private void show(
      EngramModel opened,
      List<EngramLayer> chosen,
      int tokens,
      List<Pipeline.Result> results,
      @Nullable SlicedTables tables) {
    String digest = results.getFirst().digest();
    for (Pipeline.Result result : results) {
      if (!result.digest().equals(digest)) {
        throw new IllegalStateException(
            "two runs gave different outputs: " + digest + " and " + result.digest());
      }
    }
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("tokens", tokens);
    json.put("backend", opened.backend().name());
    json.put("layers", chosen.stream().map(EngramLayer::id).toList());
    json.put("repeat", repeat);
    output.line(
        "%s tokens, layers %s, backend %s (%s)",
        Text.count(tokens),
        chosen.stream().map(EngramLayer::id).toList(),
        opened.backend().name(),
        opened.backend().description());
    output.line("");
    json.put("stages", StageTable.show(output, tokens, tokenizeNanos, results));
    json.put("digest", digest);
    output.line("");
    if (memoMegabytes != 0) {
      json.put("memo", showMemo(chosen, opened));
    }
    if (tables != null) {
      json.put("endpoints", RemoteOption.show(output, tables));
      output.line("");
    }
    if (repeat == 1) {
      output.line("one run from cold; --repeat 5 shows the median of warm ones too");
    }
    output.line("output SHA-256 %s (seed %d)", digest, seed);
    if (gates != null) {
      json.put("gates", gates.toString());
      output.line("gates written to %s", gates);
    }
    output.json(json);
  }
}
