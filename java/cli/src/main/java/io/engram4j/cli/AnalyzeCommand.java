package io.engram4j.cli;

import io.engram4j.cli.AnalysisPage.Headline;
import io.engram4j.model.EngramConfig;
import io.engram4j.train.analysis.Ablation;
import io.engram4j.train.analysis.Gates;
import io.engram4j.train.analysis.LayerLikeness;
import io.engram4j.train.analysis.Suite;
import io.engram4j.train.analysis.TeachingProbe;
import io.engram4j.train.corpus.Probes;
import io.engram4j.train.data.Bpe;
import io.engram4j.train.files.DecoderDirectory;
import io.engram4j.train.model.Batch;
import io.engram4j.train.model.Decoder;
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

/** Shows what the memory of a trained model knows. */
@Command(
    name = "analyze",
    header = "Show what a trained model's memory knows.",
    description =
        "Asks a model that engram train wrote with the memory on and off, looks at its gates and"
            + " layers, and teaches it invented names; of a directory that train --suite wrote, shows"
            + " all runs.")
final class AnalyzeCommand implements Callable<Integer> {
  private static final int STRIPS = 3; // sequences shown with their gates
  private static final int STEPS = 6; // of the progress bar

  @Mixin Output output = new Output();

  @Parameters(
      index = "0",
      paramLabel = "DIR",
      description = "A model that engram train wrote, or a directory of train --suite.")
  Path directory = Path.of("");

  @Option(
      names = "--dense",
      paramLabel = "DIR",
      description = "Compare with this dense model of the same tokenizer.")
  @Nullable Path dense;

  @Option(names = "--html", paramLabel = "FILE", description = "Write one page with all pictures.")
  @Nullable Path html;

  @Option(
      names = "--files",
      paramLabel = "DIR",
      description = "Write each picture as SVG and its numbers as CSV.")
  @Nullable Path files;

  private final Map<String, Object> json = new LinkedHashMap<>();
  private final AnalysisPage page = new AnalysisPage();

  @Override
  public Integer call() throws IOException {
    if (html != null) {
      GatesPage.requireWritable(html);
    }
    Suite suite = Files.exists(directory.resolve(Suite.NAME)) ? Suite.read(directory) : null;
    Path model = suite == null ? directory : directory.resolve(Suite.ENGRAM);
    if (suite != null && dense == null) {
      dense = directory.resolve(Suite.DENSE);
    }
    json.put("model", model.toString());
    try (Progress progress = new Progress("analyze", STEPS, " parts", 1);
        Decoder decoder = DecoderDirectory.read(model)) {
      Bpe bpe = Bpe.read(model.resolve("tokenizer.json"));
      Probes probes = Probes.read(model);
      if (!decoder.memory().isThere()) {
        throw new IOException(model + " is a dense model: there is no memory to look at");
      }
      about = about(decoder, probes);
      all(model, decoder, bpe, probes, suite, progress);
    }
    if (html != null) {
      page.write(
          html,
          "What the Engram memory of "
              + model.toRealPath().getFileName().toString().replaceFirst("-[0-9a-f]{12}$", "")
              + " does",
          about);
      output.line("page written to %s", html);
      json.put("html", html.toString());
    }
    if (files != null) {
      page.writeFiles(files);
      json.put("files", files.toString());
    }
    output.json(json);
    return 0;
  }

  private String about = "";

  private static String about(Decoder decoder, Probes probes) {
    EngramConfig config = decoder.memory().config();
    long rows = decoder.tables().stream().mapToLong(table -> table.shape().rows()).sum();
    return String.format(
        Locale.ROOT,
        "A decoder of %d layers, %d wide, %d streams, %,d weights beside its tables. Engram at the start"
            + " of layers %s (from 0): n-grams of 2 to %d tokens, %d columns, %,d rows of %d. Measured on"
            + " %,d tokens of held-out text, %d questions on facts and %d on passages, by engram analyze.",
        decoder.shape().layers(),
        decoder.shape().width(),
        decoder.shape().streams(),
        decoder.parameters().size(),
        config.layerIds(),
        config.maxNgram(),
        config.columns(),
        rows,
        config.headDim(),
        probes.ids().length,
        probes.trained().size() + probes.asked().size(),
        probes.reading().size());
  }

  /** Where a claim of the paper is on the page, or that it is not. */
  private static List<String[]> claims(boolean suite, boolean likeness) {
    String runs = "engram train RUNS --suite paper makes the runs for it";
    return List.of(
        new String[] {
          "Memory lowers the loss at equal cost", suite ? "headline numbers" : "not here; " + runs
        },
        new String[] {
          "The loss falls with the size of the tables",
          suite ? "Loss against the size of the tables" : "not here; " + runs
        },
        new String[] {
          "A budget is best split between experts and memory (U)",
          suite ? "One budget of parameters" : "not here; " + runs
        },
        new String[] {"Without memory facts go, reading stays", "The memory switched off"},
        new String[] {
          "Gates open on names and formulas", "Gates by what a token is; token by token"
        },
        new String[] {
          "Features are ready earlier (LogitLens)",
          suite ? "LogitLens, beside a dense model" : "LogitLens, but on and off of one model"
        },
        new String[] {
          "Layers are like later ones of a dense model (CKA)",
          likeness ? "Which layer of a dense model" : "not here; it takes --dense"
        },
        new String[] {
          "Rows can be read ahead", "not here; engram bench and docs/performance.md have it"
        },
        new String[] {"Rows alone can be taught", "not the paper's; last headline number"});
  }

  /** Ids of another tokenizer would be other words. */
  private static Path requireAlike(Path model, Path other) throws IOException {
    String name = "tokenizer.json";
    if (Files.mismatch(model.resolve(name), other.resolve(name)) >= 0) {
      throw new IOException(model + " and " + other + " have different tokenizers");
    }
    return other;
  }

  private void all(
      Path model, Decoder decoder, Bpe bpe, Probes probes, @Nullable Suite suite, Progress progress)
      throws IOException {
    Ablation ablation = Ablation.of(decoder, bpe, probes);
    progress.step(1);
    TeachingProbe taught = TeachingProbe.of(decoder, bpe, probes);
    progress.step(1);
    List<Gates> gates = Gates.of(decoder, bpe, probes);
    progress.step(1);
    headlines(ablation, taught, suite);
    page.claims(claims(suite != null, dense != null && LayerLikeness.isPossible(probes)));
    page.chart(Analysis.ablation(ablation));
    Batch shown = probes.batch(true);
    Batch some = shown.part(0, Math.min(STRIPS, shown.sequences()));
    page.strips(gates, bpe, some, Gates.gates(decoder, some));
    page.chart(Analysis.gateClasses(gates));
    page.chart(Analysis.gates(gates));
    Decoder other = dense == null ? null : DecoderDirectory.read(requireAlike(model, dense));
    try {
      Chart lens = Analysis.lens(decoder, other, probes);
      page.chart(lens);
      json.put("logit_lens", numbers(lens));
      progress.step(1);
      if (other != null && LayerLikeness.isPossible(probes)) {
        LayerLikeness likeness = LayerLikeness.of(decoder, other, probes);
        page.chart(Analysis.likeness(likeness));
        json.put("likeness", likeness);
      }
      progress.step(1);
    } finally {
      if (other != null) {
        other.close();
      }
    }
    if (suite != null) {
      page.chart(Analysis.sizes(suite)).chart(Analysis.split(suite));
      json.put("suite", suite.runs());
      showSuite(suite);
    }
    page.chart(Analysis.hits(probes));
    progress.step(1);
    json.put("kinds", ablation.kinds());
    json.put("gates", gates);
    json.put("teaching", taught);
    show(ablation, gates, taught);
  }

  private static Map<String, List<Double>> numbers(Chart chart) {
    Map<String, List<Double>> numbers = new LinkedHashMap<>();
    chart.series().forEach(each -> numbers.put(each.name().replace(' ', '_'), each.values()));
    return numbers;
  }

  private void headlines(Ablation ablation, TeachingProbe taught, @Nullable Suite suite) {
    json.put("loss_on", ablation.lossOn());
    json.put("loss_off", ablation.lossOff());
    List<Headline> headlines = new ArrayList<>();
    keep(headlines, ablation, Ablation.NAMES, "names_retained", "names as next token");
    keep(
        headlines,
        ablation,
        Ablation.UNSEEN,
        "unseen_4gram_retained",
        "tokens that end a new 4-gram");
    keep(headlines, ablation, Ablation.TRAINED, "facts_trained_retained", "facts, trained wording");
    keep(headlines, ablation, Ablation.READING, "reading_retained", "questions on a passage");
    Ablation.Kind asked = ablation.kind(Ablation.ASKED);
    if (asked.count() > 0) {
      json.put("facts_new_on", asked.on());
      headlines.add(onAndOff(asked, "facts, a wording never trained"));
    }
    json.put("teach_recall", taught.recall());
    json.put("teach_cost", taught.cost());
    headlines.add(
        new Headline(
            percent(taught.recall()),
            String.format(
                Locale.ROOT,
                "of %d invented names known after %.0f s in which only their rows changed; other text"
                    + " lost %.4f nats",
                taught.names(),
                taught.seconds(),
                taught.cost())));
    if (suite != null) {
      loss(headlines, suite, Suite.DENSE, "loss_dense", "nats: held-out loss of a dense model");
      loss(headlines, suite, Suite.ENGRAM, "loss_engram", "nats: with memory, at the same cost");
    }
    page.headlines(headlines);
  }

  private void keep(
      List<Headline> headlines, Ablation ablation, String kind, String key, String meaning) {
    Ablation.Kind found = ablation.kind(kind);
    if (found.count() > 0 && found.on() > 0) {
      json.put(key, found.retained());
      headlines.add(onAndOff(found, meaning));
    }
  }

  private static Headline onAndOff(Ablation.Kind kind, String what) {
    return new Headline(
        percent(kind.on()) + " \u2192 " + percent(kind.off()),
        what
            + String.format(
                Locale.ROOT,
                ": right with memory, and without it (guess %s, n = %,d)",
                percent(kind.guess()),
                kind.count()));
  }

  private void loss(List<Headline> headlines, Suite suite, String run, String key, String meaning) {
    suite
        .run(run)
        .ifPresent(found -> {
          json.put(key, found.loss());
          headlines.add(new Headline(String.format(Locale.ROOT, "%.3f", found.loss()), meaning));
        });
  }

  private static String percent(double share) {
    return String.format(Locale.ROOT, "%.0f %%", 100 * share);
  }

  private void show(Ablation ablation, List<Gates> gates, TeachingProbe taught) {
    output.line(
        "held-out loss %.3f with memory, %.3f without", ablation.lossOn(), ablation.lossOff());
    output.line("");
    List<List<String>> rows = new ArrayList<>();
    for (Ablation.Kind kind : ablation.kinds()) {
      rows.add(
          List.of(
              kind.name(),
              Text.count(kind.count()),
              number(kind.on()),
              number(kind.off()),
              kind.on() == 0 ? "-" : Math.round(100 * kind.retained()) + "%"));
    }
    output.table(List.of("kind", "asked", "on", "off", "kept"), rows);
    output.line("");
    for (Gates each : gates) {
      output.line(
          "gates of layer %d: %.2f in names, %.2f elsewhere",
          each.layer(), each.inNames(), each.elsewhere());
    }
    output.line(
        "taught %d names in %.1f s: recall %.2f, in another phrasing %.2f; other text %+.4f nats",
        taught.names(), taught.seconds(), taught.recall(), taught.asked(), taught.cost());
  }

  private void showSuite(Suite suite) {
    List<List<String>> rows = new ArrayList<>();
    for (Suite.Run run : suite.runs()) {
      rows.add(
          List.of(
              run.name(),
              Text.count(run.used()),
              Text.count(run.weights()),
              Text.count(run.tableParameters()),
              number(run.loss())));
    }
    output.table(List.of("run", "weights used", "weights", "in tables", "loss"), rows);
    output.line("");
  }

  private static String number(double value) {
    return String.format(Locale.ROOT, "%.3f", value);
  }
}
