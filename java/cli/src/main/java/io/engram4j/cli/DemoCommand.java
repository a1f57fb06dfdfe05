package io.engram4j.cli;

import io.engram4j.Backends;
import io.engram4j.EngramLayer;
import io.engram4j.EngramModel;
import io.engram4j.EngramSequence;
import io.engram4j.hf.EngramDirectory;
import io.engram4j.kernel.Backend;
import io.engram4j.kernel.BackendProvider;
import io.engram4j.model.TokenMap;
import io.engram4j.shipped.ShippedModel;
import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Shows what Engram does, without a model. */
@Command(
    name = "demo",
    header = "Show what Engram knows and does; needs no model.",
    description =
        "Asks the model that this project ships what it knows, with its memory and without, and"
            + " teaches it a fact. Then makes a model of random weights in DeepSeek-V4.1's layout (290"
            + " MB, once) and runs a text of many languages through it.")
final class DemoCommand implements Callable<Integer> {
  private static final double GATE_BOUND = 5e-5;

  @Mixin Output output = new Output();

  @Option(
      names = "--cache",
      paramLabel = "DIR",
      description = "Where to keep the model (default: $ENGRAM_CACHE or your cache directory).")
  @Nullable Path cache;

  @Option(
      names = "--where",
      description = "Print the directory of the shipped model, and do nothing else.")
  boolean where;

  @Option(
      names = "--teach",
      paramLabel = "FACT",
      defaultValue = "Zorvaline is\ta composer.",
      description = "The fact to teach: prompt and answer parted by a tab, else the last word.")
  String taught = "";

  private final Map<String, Object> json = new LinkedHashMap<>();

  @Override
  public Integer call() throws IOException {
    Path below = cache == null ? DemoModel.cacheDirectory() : cache;
    DemoModel.createDirectory(below);
    Path shipped = ShippedModel.unpack(below);
    if (where) {
      output.line("%s", shipped);
      output.json(Map.of("shipped", shipped.toString()));
      return 0;
    }
    output.line("A model of 10 MB that knows something: %s", shipped);
    json.put("shipped", shipped.toString());
    try (ShippedDemo demo = new ShippedDemo(output, shipped)) {
      json.put("knows", demo.show(taught));
    }
    output.line("");
    JtokkitVocabulary vocabulary = new JtokkitVocabulary();
    TokenMap map = TokenMap.build(vocabulary);
    EngramDirectory directory = DemoModel.open(below, map);
    Path path = directory.path();
    String text = text();
    int[] ids = vocabulary.encode(text);
    boolean agree;
    try (EngramModel model = directory.open(ModelOptions.backend(null))) {
      long bytes =
          model.layers().stream()
              .mapToLong(l -> l.weights().table().rows() * l.weights().table().rowBytes())
              .sum();
      json.put("model", path.toString());
      json.put("table_bytes", bytes);
      json.put("tokens", ids.length);
      output.line("What Engram does, at a size that is nearer a real one: %s", path);
      output.line(
          "%d layers, tables of %s, %d rows a token and layer; %d tokens of text. Weights and hidden"
              + " states are random: this shows the mechanism, not a model's knowledge.",
          model.layers().size(), Text.bytes(bytes), model.config().columns(), ids.length);
      collapse(vocabulary, map);
      rows(model, vocabulary, ids);
      agree = backends(model, vocabulary, ids);
    }
    output.json(json);
    return agree ? 0 : Main.FAILED;
  }

  private static String text() throws IOException {
    try (InputStream in = DemoCommand.class.getResourceAsStream("demo.txt")) {
      return new String(Objects.requireNonNull(in).readAllBytes(), StandardCharsets.UTF_8);
    }
  }

  private void collapse(JtokkitVocabulary vocabulary, TokenMap map) {
    double saved = 100.0 * (map.size() - map.distinct()) / map.size();
    json.put("vocabulary", map.size());
    json.put("compressed", map.distinct());
    output.line("");
    output.line("1. map: tokens that differ only in case, accents or surrounding space become one");
    output.line(
        "   o200k_base: %s ids -> %s compressed ids, %.1f %% fewer",
        Text.count(map.size()), Text.count(map.distinct()), saved);
    List<Map<String, Object>> groups = new ArrayList<>();
    for (String word : List.of("the", "ano", "ete", "uber", "он", "resume", "café", "naïve")) {
      if (groups.size() == 4) {
        break;
      }
      int target = map.get(vocabulary.encode(word)[0]);
      List<String> members = new ArrayList<>();
      List<Integer> tokenIds = new ArrayList<>();
      for (int id = 0; id < map.size(); id++) {
        if (map.get(id) == target) {
          tokenIds.add(id);
          members.add(Text.quoted(new String(vocabulary.bytes(id), StandardCharsets.UTF_8)));
        }
      }
      if (members.size() < 3) {
        continue; // not much of a collapse
      }
      output.line("   %6d <- %s", target, String.join(" ", members));
      groups.add(Map.of("compressed_id", target, "token_ids", tokenIds));
    }
    json.put("groups", groups);
  }

  private void rows(EngramModel model, JtokkitVocabulary vocabulary, int[] ids) {
    int position = 6;
    EngramSequence sequence = model.newSequence();
    sequence.append(ids, 0, position + 1);
    EngramLayer layer = model.layers().getFirst();
    long[] rowIds = new long[model.config().columns()];
    layer.hash(model.newBatch().add(sequence, position, 1), MemorySegment.ofArray(rowIds));
    String[] pieces = Text.pieces(vocabulary, ids);
    output.line("");
    output.line(
        "2. hash: the last tokens choose rows, %d per order (layer %d)",
        model.config().headsPerNgram(), layer.id());
    List<Map<String, Object>> found = new ArrayList<>();
    for (int order = 2; order <= model.config().maxNgram(); order++) {
      String ngram =
          String.join("", Arrays.copyOfRange(pieces, position + 1 - order, position + 1));
      int from = (order - 2) * model.config().headsPerNgram();
      long[] own = Arrays.copyOfRange(rowIds, from, from + model.config().headsPerNgram());
      output.line(
          "   %d-gram %-24s -> rows %s",
          order,
          Text.quoted(ngram),
          String.join(" ", Arrays.stream(own).mapToObj(Long::toString).toList()));
      found.add(Map.of("order", order, "ngram", ngram, "rows", own));
    }
    json.put("ngrams", found);
  }

  private boolean backends(EngramModel model, JtokkitVocabulary vocabulary, int[] ids) {
    List<Map<String, Object>> objects = new ArrayList<>();
    Map<String, Pipeline.Result> results = new LinkedHashMap<>();
    for (BackendProvider provider : Backends.providers()) {
      if (provider.unavailable().isEmpty()) {
        Backend backend = provider.create();
        EngramModel view = model.withBackend(backend);
        Pipeline pipeline = new Pipeline(view, view.layers(), 0);
        try (Progress progress =
            new Progress(
                "backend " + backend.name() + ", two passes", 2L * ids.length, " tokens", 1)) {
          pipeline.run(ids, progress); // the first run meets cold code and cold pages
          results.put(backend.name(), pipeline.run(ids, progress));
        }
      }
    }
    Pipeline.Result truth = Objects.requireNonNull(results.get("java"));
    strip(model, vocabulary, ids, truth);
    boolean agree = true;
    output.line("");
    output.line("4. speed per stage, all layers, and whether each backend agrees with java");
    for (Map.Entry<String, Pipeline.Result> entry : results.entrySet()) {
      output.line("");
      output.line("backend %s", entry.getKey());
      Map<String, Object> object = new LinkedHashMap<>();
      object.put("backend", entry.getKey());
      object.put("stages", StageTable.show(output, ids.length, 0, List.of(entry.getValue())));
      double difference = difference(entry.getValue(), truth);
      boolean same = difference <= GATE_BOUND;
      boolean isTruth = entry.getKey().equals("java");
      agree &= same;
      object.put("largest_gate_difference", difference);
      object.put("agrees", same);
      object.put("digest", entry.getValue().digest());
      objects.add(object);
      if (!isTruth) {
        output.line(
            "largest difference of a gate from java: %.1e (bound %.0e): %s",
            difference, GATE_BOUND, same ? "agrees" : "DISAGREES");
      }
    }
    json.put("backends", objects);
    return agree;
  }

  private static double difference(Pipeline.Result result, Pipeline.Result truth) {
    double largest = 0;
    for (int layer = 0; layer < truth.gates().size(); layer++) {
      float[] own = result.gates().get(layer);
      float[] expected = truth.gates().get(layer);
      for (int i = 0; i < own.length; i++) {
        largest = Math.max(largest, Math.abs(own[i] - expected[i]));
      }
    }
    return largest;
  }

  private void strip(
      EngramModel model, JtokkitVocabulary vocabulary, int[] ids, Pipeline.Result result) {
    int branches = model.config().branches();
    float[] first = result.gates().getFirst();
    double[] means = new double[ids.length];
    for (int token = 0; token < ids.length; token++) {
      for (int branch = 0; branch < branches; branch++) {
        means[token] += first[token * branches + branch] / branches;
      }
    }
    json.put("mean_gates", Arrays.stream(means).map(g -> Math.round(g * 1e4) / 1e4).toArray());
    output.line("");
    output.line(
        "3. gate: how much of its memory each token lets into the stream (layer %d, mean of %d"
            + " branches); the colour, or the bar after each token, tells",
        model.layers().getFirst().id(), branches);
    double low = Arrays.stream(means).min().orElse(0);
    double high = Arrays.stream(means).max().orElse(1);
    output.painted(
        String.format(Locale.ROOT, "   %s from %.2f to %.2f", GateStrip.legend(), low, high));
    output.painted(GateStrip.paint(Text.pieces(vocabulary, ids), means, low, high));
  }
}
