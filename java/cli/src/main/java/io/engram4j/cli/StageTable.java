package io.engram4j.cli;

import io.engram4j.model.Stage;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** The speed of each stage. */
final class StageTable {
  private StageTable() {}

  /**
   * Shows the table.
   *
   * @param tokenizeNanos per token, once and on one thread; 0 if no text was tokenized
   */
  static Map<String, Object> show(
      Output output, int tokens, double tokenizeNanos, List<Pipeline.Result> results) {
    Map<String, Object> stages = new LinkedHashMap<>();
    List<List<String>> rows = new ArrayList<>();
    double total = tokenizeNanos * tokens;
    if (total > 0) {
      rows.add(row(stages, "tokenize", total, tokens));
    }
    for (Stage stage : Stage.values()) {
      double nanos = median(results, stage);
      if (nanos > 0) {
        rows.add(row(stages, stage.name().toLowerCase(Locale.ROOT), nanos, tokens));
        total += nanos;
      }
    }
    rows.add(row(stages, "all", total, tokens));
    output.table(List.of("stage", "us/token", "tokens/s"), rows);
    return stages;
  }

  private static double median(List<Pipeline.Result> results, Stage stage) {
    long[] sorted =
        results.stream().mapToLong(r -> r.nanos().getOrDefault(stage, 0L)).sorted().toArray();
    return (double) sorted[sorted.length / 2];
  }

  private static List<String> row(
      Map<String, Object> stages, String name, double nanos, int tokens) {
    double micros = nanos / 1e3 / tokens;
    Map<String, Object> stage = new LinkedHashMap<>();
    stage.put("us_per_token", micros);
    stage.put("tokens_per_s", 1e6 / micros);
    stages.put(name, stage);
    return List.of(name, String.format(Locale.ROOT, "%,.2f", micros), Text.rate(1e6 / micros));
  }
}
