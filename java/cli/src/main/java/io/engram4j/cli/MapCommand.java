package io.engram4j.cli;

import io.engram4j.hf.TokenizerJson;
import io.engram4j.model.TokenMap;
import io.engram4j.model.TokenMapFile;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Builds the token map of a tokenizer. */
@Command(
    name = "map",
    header = "Build the compressed token map of a tokenizer.json; show it, or write it.")
final class MapCommand implements Callable<Integer> {
  @Parameters(paramLabel = "TOKENIZER_JSON", description = "A Hugging Face tokenizer.json.")
  Path tokenizer = Path.of("");

  @Option(names = "--out", paramLabel = "FILE", description = "Write the map to this file.")
  @Nullable Path out;

  @Option(
      names = "--groups",
      paramLabel = "N",
      defaultValue = "10",
      description = "How many of the largest groups to show (default ${DEFAULT-VALUE}).")
  int groups;

  @Mixin Output output = new Output();

  @Override
  public Integer call() throws IOException {
    if (groups < 0) {
      throw new IllegalArgumentException("--groups " + groups + " is negative");
    }
    long start = System.nanoTime();
    TokenizerJson vocabulary = TokenizerJson.read(tokenizer);
    TokenMap map = TokenMap.build(vocabulary);
    double seconds = (System.nanoTime() - start) / 1e9;
    double saved = 100.0 * (map.size() - map.distinct()) / map.size();
    if (out != null) {
      TokenMapFile.save(map, out);
    }
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("vocabulary", map.size());
    json.put("compressed", map.distinct());
    json.put("saved_percent", Math.round(saved * 100) / 100.0);
    json.put("map_sha256", map.sha256());
    json.put("seconds", Math.round(seconds * 1000) / 1000.0);
    if (out != null) {
      json.put("file", out.toString());
    }
    output.line(
        "%s ids -> %s compressed ids, %.1f %% fewer (%.2f s)",
        Text.count(map.size()), Text.count(map.distinct()), saved, seconds);
    output.line("SHA-256 of the map as int64 little endian: %s", map.sha256());
    if (out != null) {
      output.line("written to %s", out);
    }
    output.line("");
    largest(vocabulary, map, json);
    output.json(json);
    return 0;
  }

  private void largest(TokenizerJson vocabulary, TokenMap map, Map<String, Object> json) {
    Map<Integer, List<Integer>> members = new TreeMap<>();
    for (int id = 0; id < map.size(); id++) {
      members.computeIfAbsent(map.get(id), key -> new ArrayList<>()).add(id);
    }
    List<Map.Entry<Integer, List<Integer>>> sorted = new ArrayList<>(members.entrySet());
    sorted.sort(Comparator.comparingInt(entry -> -entry.getValue().size())); // stable: by id
    List<List<String>> rows = new ArrayList<>();
    List<Map<String, Object>> objects = new ArrayList<>();
    for (var entry : sorted.subList(0, Math.min(groups, sorted.size()))) {
      List<String> texts =
          entry.getValue().stream()
              .map(id -> Text.quoted(new String(vocabulary.bytes(id), StandardCharsets.UTF_8)))
              .toList();
      String first = String.join(" ", texts.subList(0, Math.min(8, texts.size())));
      rows.add(
          List.of(
              "" + entry.getKey(), "" + texts.size(), first + (texts.size() > 8 ? " ..." : "")));
      Map<String, Object> object = new LinkedHashMap<>();
      object.put("compressed_id", entry.getKey());
      object.put("token_ids", entry.getValue());
      objects.add(object);
    }
    json.put("largest_groups", objects);
    output.table(List.of("compressed id", "tokens", "the largest groups"), rows);
  }
}
