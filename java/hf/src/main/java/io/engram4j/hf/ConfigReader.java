package io.engram4j.hf;

import com.fasterxml.jackson.databind.JsonNode;
import io.engram4j.model.EngramConfig;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Reads a config.json: which family of checkpoints it describes, and that family's fields. */
final class ConfigReader {
  /** The families that are known, in the order in which they are looked for. */
  private static final List<Checkpoint> FAMILIES =
      List.of(new DeepSeekV41(), new QwenPle(), new PaperDemo());

  private static final long MAX_BYTES = 16 << 20;

  /** What a config.json said. */
  record Described(Checkpoint checkpoint, EngramConfig config) {}

  private ConfigReader() {}

  /**
   * Reads a configuration.
   *
   * @throws IOException naming the file and the field that is missing or wrong
   */
  static Described read(Path path) throws IOException {
    return parse(path.toString(), Json.readObject(path, MAX_BYTES));
  }

  /** The fields are in {@code text_config} and beside it, or flat. */
  static Described parse(String file, JsonNode root) throws IOException {
    List<String> known = new ArrayList<>();
    for (Checkpoint checkpoint : FAMILIES) {
      for (JsonNode section : List.of(root.path("text_config"), root)) {
        if (checkpoint.marks().stream().allMatch(section::has)) {
          try {
            ConfigFields fields = new ConfigFields(file, section, root);
            return new Described(checkpoint, checkpoint.config(fields));
          } catch (IllegalArgumentException e) {
            throw new IOException(file + ": " + e.getMessage(), e);
          }
        }
      }
      known.add(String.join(" and ", checkpoint.marks()) + " (" + checkpoint.family() + ")");
    }
    throw new IOException(
        file + " describes no Engram layers: it has neither " + String.join(" nor ", known));
  }
}
