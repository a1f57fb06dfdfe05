package io.engram4j.hf;

import com.fasterxml.jackson.databind.JsonNode;
import io.engram4j.host.Printable;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * Where the tensors of a model directory are: by {@code model.safetensors.index.json}, or in the
 * one file {@code model.safetensors}. Opens only the shards that are asked for, so a user with 2 of
 * 48 can run. What an index says wrongly, or does not say, is looked for in the shards that are
 * there.
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
  private @Nullable Map<String, List<TensorInfo>> found; // in all shards, once looked for

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
    } else if (index.shards().isEmpty()) {
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
                + Printable.of(entry.getKey())
                + " into "
                + Printable.of(entry.getValue().toString())
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
        && name.chars().noneMatch(c -> c == '/' || c == '\\')
        && Printable.of(name).equals(name);
  }

  /**
   * Finds a tensor.
   *
   * @param name its name without prefix
   * @return the tensor, or null with the reason added to {@code missing}
   */
  @Nullable TensorInfo find(String name, List<String> missing) {
    List<String> problems = new ArrayList<>(missing);
    for (String prefix : PREFIXES) {
      String shard = fileOf.get(prefix + name);
      if (shard != null) {
        TensorInfo tensor = inShard(prefix + name, shard, problems);
        if (tensor != null) {
          return tensor;
        }
        break;
      }
    }
    for (String prefix : PREFIXES) {
      List<TensorInfo> all = everywhere().getOrDefault(prefix + name, List.of());
      if (all.size() == 1) {
        return all.getFirst();
      }
      if (all.size() > 1) {
        missing.add(name + " is in both " + all.get(0).file() + " and " + all.get(1).file());
        return null;
      }
    }
    if (problems.equals(missing)) {
      problems.add(name + " is in no shard of the index");
    }
    missing.clear();
    missing.addAll(problems);
    return null;
  }

  /** What the shards hold that can be read, whatever the index says. */
  private Map<String, List<TensorInfo>> everywhere() {
    Map<String, List<TensorInfo>> known = found;
    if (known == null) {
      known = new HashMap<>();
      for (String shard : shards()) {
        SafetensorsFile file = shard(shard);
        if (file != null) {
          for (TensorInfo tensor : file.tensors().values()) {
            known.computeIfAbsent(tensor.name(), name -> new ArrayList<>()).add(tensor);
          }
        }
      }
      found = known;
    }
    return known;
  }

  /** Returns the names of the shards that are there, in order. */
  private List<String> shards() {
    try (Stream<Path> files = Files.list(directory)) {
      return files
          .filter(Files::isRegularFile)
          .map(file -> String.valueOf(file.getFileName()))
          .filter(name -> name.endsWith(".safetensors"))
          .filter(ShardIndex::isPlainName)
          .sorted()
          .toList();
    } catch (IOException e) {
      return List.of();
    }
  }

  /** Returns what the one file says was packed together with it, or null. */
  @Nullable String packing() {
    SafetensorsFile single = opened.get(SINGLE);
    return single == null ? null : single.metadata().get(DirectoryPacker.PACKING);
  }

  /** Returns the names, without prefix, of tensors that begin with a text. */
  List<String> names(String start) {
    Set<String> all = new TreeSet<>();
    addNames(fileOf.keySet(), start, all);
    if (all.isEmpty()) { // an index that does not say
      addNames(everywhere().keySet(), start, all);
    }
    return List.copyOf(all);
  }

  private static void addNames(Set<String> names, String start, Set<String> to) {
    for (String name : names) {
      for (String prefix : PREFIXES) {
        if (name.startsWith(prefix + start)) {
          to.add(name.substring(prefix.length()));
        }
      }
    }
  }

  boolean has(String name) {
    return PREFIXES.stream().anyMatch(prefix -> fileOf.containsKey(prefix + name));
  }

  private @Nullable TensorInfo inShard(String name, String shard, List<String> missing) {
    SafetensorsFile file = shard(shard);
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

  /** Opens a shard once; returns null, and keeps the reason, if it cannot be read. */
  private @Nullable SafetensorsFile shard(String shard) {
    SafetensorsFile file = opened.get(shard);
    if (file == null && !unreadable.containsKey(shard)) {
      try {
        file = SafetensorsFile.open(directory.resolve(shard));
        opened.put(shard, file);
      } catch (IOException | InvalidPathException e) {
        unreadable.put(shard, String.valueOf(e.getMessage()));
      }
    }
    return file;
  }
}
