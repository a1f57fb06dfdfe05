package io.engram4j.cli;

import io.engram4j.cli.Chart.Kind;
import io.engram4j.cli.Chart.Series;
import io.engram4j.train.analysis.Ablation;
import io.engram4j.train.analysis.Gates;
import io.engram4j.train.analysis.LayerLikeness;
import io.engram4j.train.analysis.LogitLens;
import io.engram4j.train.analysis.Suite;
import io.engram4j.train.corpus.Probes;
import io.engram4j.train.model.Decoder;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.stream.IntStream;

/** The charts of an analysis. */
final class Analysis {
  private Analysis() {}

  static Chart ablation(Ablation ablation) {
    // kinds of kinds are in the numbers that --json prints
    List<Ablation.Kind> kinds =
        ablation.kinds().stream().filter(kind -> !kind.name().contains(": ")).toList();
    return new Chart(
        "ablation",
        "The memory switched off",
        "Share that is right with the memory and without. Names and 4-grams: the next token of"
            + " held-out text is the most probable one; a 4-gram is three tokens and the one that"
            + " follows, by how often training saw it. Facts and reading: the whole answer to a"
            + " question. Guess: of one who always gives the most common answer, of reading one of"
            + " those in the passage. A model that never trained without memory loses more than what"
            + " lies in it; the shipped one trained so on 15 % of its passages, and on nothing else.",
        "",
        "accuracy",
        kinds.stream()
            .map(kind -> label(kind.name()) + " (" + Text.count(kind.count()) + ")")
            .toList(),
        List.of(
            new Series("memory on", kinds.stream().map(Ablation.Kind::on).toList()),
            new Series("memory off", kinds.stream().map(Ablation.Kind::off).toList()),
            new Series("guess", kinds.stream().map(Ablation.Kind::guess).toList())),
        Kind.BARS);
  }

  /** Short enough to stand below a bar. */
  private static String label(String kind) {
    return kind.replace("4-grams never seen", "4-gram seen 0x")
        .replace("4-grams seen 1 to 3 times", "4-gram 1-3x")
        .replace("4-grams seen 4 to 15 times", "4-gram 4-15x")
        .replace("4-grams seen 16 times or more", "4-gram 16x up")
        .replace("facts, trained phrasings", "facts, trained wording")
        .replace("facts, another phrasing", "facts, other wording");
  }

  static Chart gateClasses(List<Gates> gates) {
    return new Chart(
        "gates-by-class",
        "Gates by what a token is",
        "Mean gate on held-out text; names, whole or in pieces, stand apart from other words.",
        "",
        "mean gate",
        gates.getFirst().byClass().stream()
            .map(each -> each.name() + " (" + Text.count(each.tokens()) + ")")
            .toList(),
        gates.stream()
            .map(each ->
                new Series(
                    "layer " + each.layer(),
                    each.byClass().stream()
                        .map(mean -> mean.tokens() == 0 ? Double.NaN : mean.gate())
                        .toList()))
            .toList(),
        Kind.BARS);
  }

  private static String bin(List<Gates.Mean> means, int index) {
    int least = means.get(index).least();
    if (index + 1 == means.size()) {
      return least + " and more";
    }
    int last = means.get(index + 1).least() - 1;
    return least == last ? "" + least : least + " to " + last;
  }

  static Chart gates(List<Gates> gates) {
    return new Chart(
        "gates-by-frequency",
        "Gates by how often training saw the 3-gram",
        "Mean gate on held-out text, by how often the three tokens that end there follow each other in"
            + " the training text; tokens in brackets. The axis does not begin at 0.",
        "times seen in training",
        "mean gate",
        IntStream.range(0, gates.getFirst().byFrequency().size())
            .mapToObj(i ->
                bin(gates.getFirst().byFrequency(), i)
                    + " ("
                    + Text.count(gates.getFirst().byFrequency().get(i).tokens())
                    + ")")
            .toList(),
        gates.stream()
            .map(each ->
                new Series(
                    "layer " + each.layer(),
                    each.byFrequency().stream()
                        .map(mean -> mean.tokens() == 0 ? Double.NaN : mean.gate())
                        .toList()))
            .toList(),
        Kind.LINES);
  }

  static Chart lens(
      Decoder decoder, @org.jspecify.annotations.Nullable Decoder dense, Probes probes) {
    List<Series> series = new ArrayList<>();
    series.add(new Series("memory on", LogitLens.of(decoder, probes, true)));
    series.add(new Series("memory off", LogitLens.of(decoder, probes, false)));
    if (dense != null && dense.shape().layers() == decoder.shape().layers()) {
      series.add(new Series("dense model", LogitLens.of(dense, probes, false)));
    }
    return new Chart(
        "logit-lens",
        "LogitLens: how far each layer is from the answer",
        "KL divergence in nats of what final norm and head make of a layer's output, from what they make"
            + " of the last layer's in the same run: lower is earlier. On and off are one model; the paper"
            + " compares two that were trained apart, as the curve of a dense model here does where there"
            + " is one.",
        "after layer (from 1; memory enters before layers "
            + decoder.memory().config().layerIds().stream().map(i -> "" + (i + 1)).toList()
            + ")",
        "KL, nats",
        IntStream.range(1, decoder.shape().layers()).mapToObj(i -> "" + i).toList(),
        series,
        Kind.LINES);
  }

  static Chart likeness(LayerLikeness likeness) {
    List<Series> rows = new ArrayList<>();
    double error = 0;
    for (int layer = 0; layer < likeness.mean().size(); layer++) {
      rows.add(new Series("layer " + (layer + 1), likeness.mean().get(layer)));
      for (double each : likeness.error().get(layer)) {
        error = Math.max(error, each);
      }
    }
    return new Chart(
        "likeness",
        "Which layer of a dense model each layer is like",
        String.format(
            Locale.ROOT,
            "Linear CKA with the unbiased HSIC, at %d ends of names in each of four parts; standard"
                + " error at most %.3f. Rows: this model. Where a row is nearly flat it says little.",
            likeness.tokens(),
            error),
        "layer of the dense model",
        "layers of this model",
        IntStream.rangeClosed(1, likeness.mean().getFirst().size()).mapToObj(i -> "" + i).toList(),
        rows,
        Kind.HEAT);
  }

  static Chart hits(Probes probes) {
    List<String> labels = new ArrayList<>();
    List<Double> shares = new ArrayList<>();
    for (int power = 0; power < probes.served().length; power += 2) {
      labels.add(Text.count(1L << power));
      shares.add(probes.served()[power]);
    }
    return new Chart(
        "hit-rates",
        "How many 3-grams a cache must hold",
        "Share of the training text's places that its most frequent 3-grams serve, of "
            + Text.count(probes.served().length == 0 ? 0 : 1L << (probes.served().length - 1))
            + " and fewer; a cache chosen and measured on the same text, so the best case. Rows are"
            + " known from token ids ahead of the model, whatever a cache holds.",
        "most frequent 3-grams (each step 4 times as many)",
        "hit rate",
        labels,
        List.of(new Series("3-grams", shares)),
        Kind.LINES);
  }

  static Chart sizes(Suite suite) {
    List<Suite.Run> runs = suite.sizes();
    List<Series> series = new ArrayList<>();
    series.add(new Series("with memory", runs.stream().map(Suite.Run::loss).toList()));
    suite
        .run(Suite.DENSE)
        .ifPresent(dense ->
            series.add(new Series("dense", runs.stream().map(run -> dense.loss()).toList())));
    suite
        .run(Suite.ONE_ROW)
        .ifPresent(one ->
            series.add(
                new Series("one row for all", runs.stream().map(run -> one.loss()).toList())));
    return new Chart(
        "table-size",
        "Loss against the size of the tables",
        "Held-out loss in nats of models that cost the same a token.",
        "numbers in the tables",
        "loss",
        runs.stream().map(run -> Text.count(run.tableParameters())).toList(),
        series,
        Kind.LINES);
  }

  static Chart split(Suite suite) {
    List<Suite.Run> runs = suite.split();
    return new Chart(
        "split",
        "One budget of parameters, split between experts and tables",
        "Held-out loss in nats. At the left all of the budget is experts, at the right nearly all of"
            + " it is rows.",
        "routed experts a layer",
        "loss",
        runs.stream().map(run -> "" + run.number()).toList(),
        List.of(new Series("loss", runs.stream().map(Suite.Run::loss).toList())),
        Kind.LINES);
  }
}
