package io.engram4j.hf;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Where the tensors of a model directory are: by {@code model.safetensors.index.json}, or in the
 * one file {@code model.safetensors}. Opens only the shards that are asked for, so a user with 2 of
 * 48 can run.
 */
final class ShardIndex {
  private static final String INDEX = "model.safetensors.index.json";
  private static final String SINGLE = "model.safetensors";
  private static final long MAX_BYTES = 256 << 20;

  /** How a tensor may be called: V4.1's names have no prefix, those of conversions may. */
  private static final List<String> PREFIXES =
      List.of("", "model.", "language_model.", "model.language_model.", "language_model.model.");

  private final Path directory;
  private final Map<String, String> fileOf = new HashMap<>();
  private final Map<String, SafetensorsFile> opened = new LinkedHashMap<>();
  private final Map<String, String> unreadable = new HashMap<>();

  private ShardIndex(Path directory) {
    this.directory = directory;
  }

  /**
   * Reads the index, or the one file's header.
   *
   * @throws IOException if there is neither, or what there is is broken
   */
  static ShardIndex read(Path directory) throws IOException {
    ShardIndex index = new ShardIndex(directory);
    Path file = directory.resolve(INDEX);
    if (Files.exists(file)) {
      index.readIndex(file);
    } else if (Files.exists(directory.resolve(SINGLE))) {
      SafetensorsFile single = SafetensorsFile.open(directory.resolve(SINGLE));
      index.opened.put(SINGLE, single);
      single.tensors().keySet().forEach(name -> index.fileOf.put(name, SINGLE));
    } else {
      throw new IOException(directory + " has neither " + INDEX + " nor " + SINGLE);
    }
    return index;
  }

  private void readIndex(Path file) throws IOException {
    JsonNode weights = Json.readObject(file, MAX_BYTES).path("weight_map");
    if (!weights.isObject()) {
      throw new IOException(file + " has no weight_map");
    }
    for (Map.Entry<String, JsonNode> entry : weights.properties()) {
      String shard = entry.getValue().asText();
      if (!entry.getValue().isTextual() || !isPlainName(shard)) {
        throw new IOException(
            file
                + " puts "
                + entry.getKey()
                + " into "
                + entry.getValue()
                + ", which is no file"
                + " name");
      }
      fileOf.put(entry.getKey(), shard);
    }
  }

  /** Shards lie beside their index; anything else could lead out of the directory. */
  private static boolean isPlainName(String name) {
    return !name.isEmpty()
        && !name.equals(".")
        && !name.equals("..")
        && name.chars().noneMatch(c -> c == '/' || c == '\\' || c == 0);
  }

  /**
   * Finds a tensor.
   *
   * @param name its name without prefix
   * @return the tensor, or null with the reason added to {@code missing}
   */
  @Nullable TensorInfo find(String name, List<String> missing) {
    for (String prefix : PREFIXES) {
      String shard = fileOf.get(prefix + name);
      if (shard != null) {
        return inShard(prefix + name, shard, missing);
      }
    }
    missing.add(name + " is in no shard of the index");
    return null;
  }

  boolean has(String name) {
    return PREFIXES.stream().anyMatch(prefix -> fileOf.containsKey(prefix + name));
  }

  private @Nullable TensorInfo inShard(String name, String shard, List<String> missing) {
    SafetensorsFile file = opened.get(shard);
    if (file == null && !unreadable.containsKey(shard)) {
      try {
        file = SafetensorsFile.open(directory.resolve(shard));
        opened.put(shard, file);
      } catch (IOException | java.nio.file.InvalidPathException e) {
        unreadable.put(shard, String.valueOf(e.getMessage()));
      }
    }
    if (file == null) {
      // a broken shard is told once, then all the tensors that it holds
      String start = unreadable.get(shard) + ", which holds ";
      for (int i = 0; i < missing.size(); i++) {
        if (missing.get(i).startsWith(start)) {
          missing.set(i, missing.get(i) + ", " + name);
          return null;
        }
      }
      missing.add(start + name);
      return null;
    }
    TensorInfo tensor = file.tensors().get(name);
    if (tensor == null) {
      missing.add(name + " is not in " + shard + ", where the index puts it");
    }
    return tensor;
  }
}
