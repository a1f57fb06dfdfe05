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
        "Share of targets and questions that are right, with the memory and without. Where it"
            + " was never left out in training, the rest of the model has not learned to do without"
            + " it.",
        "kind",
        "share right",
        kinds.stream().map(Ablation.Kind::name).toList(),
        List.of(
            new Series("memory on", kinds.stream().map(Ablation.Kind::on).toList()),
            new Series("memory off", kinds.stream().map(Ablation.Kind::off).toList())),
        Kind.BARS);
  }

  static Chart gates(List<Gates> gates) {
    return new Chart(
        "gates-by-frequency",
        "Gates by how often the 3-gram was seen",
        "Mean gate of tokens whose last three were so often in the training text.",
        "times seen, at least",
        "mean gate",
        gates.getFirst().byFrequency().stream().map(mean -> "" + mean.least()).toList(),
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
        "How early the answer is there",
        "KL(last || layer) in nats: how far the head's answer from each layer is from the last one.",
        "behind layer",
        "nats",
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
        "Few n-grams serve many places",
        "Share of the training text's 3-grams that are among its most frequent ones: what a cache of"
            + " so many would serve.",
        "most frequent 3-grams",
        "share served",
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
