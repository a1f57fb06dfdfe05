package io.engram4j.tck;

import io.engram4j.hf.EngramModels;
import io.engram4j.hf.HubCache;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/**
 * A model and the truth files that lie beside it: {@code expected-NAME.safetensors} in a model
 * directory, {@code expected-STEM-NAME.safetensors} beside a GGUF file, where STEM is its name
 * without the number of a part.
 *
 * @param model a path that {@link EngramModels#read} takes
 * @param files sorted by name
 */
public record TruthFiles(Path model, List<Path> files) {
  private static final String PART = "(-\\d{5}-of-\\d{5})?\\.gguf$";

  /**
   * Finds models with truth files.
   *
   * @param given a model directory, a GGUF file or what its parts' names begin with, a directory of
   *     GGUF files, or one of such directories
   * @throws IOException if there are none
   */
  public static List<TruthFiles> of(Path given) throws IOException {
    Path path = HubCache.resolve(given);
    List<TruthFiles> found = new ArrayList<>();
    if (!Files.isDirectory(path)) {
      found.add(ofFile(path));
    } else {
      inDirectory(path, found);
      if (found.isEmpty()) {
        for (Path inner : list(path).stream().filter(Files::isDirectory).toList()) {
          inDirectory(inner, found);
        }
      }
    }
    found.removeIf(each -> each.files.isEmpty());
    if (found.isEmpty()) {
      throw new IOException(path + " has no expected-*.safetensors to compare with");
    }
    return found;
  }

  private static void inDirectory(Path directory, List<TruthFiles> found) throws IOException {
    if (Files.exists(directory.resolve("config.json"))) {
      found.add(new TruthFiles(directory, expected(directory, "")));
      return;
    }
    for (Path file : EngramModels.ggufs(directory)) {
      found.add(ofFile(file));
    }
  }

  private static TruthFiles ofFile(Path file) throws IOException {
    Path directory = file.toAbsolutePath().resolveSibling("");
    String name = file.getFileName().toString();
    if (!name.endsWith(".gguf") && Files.exists(file)) {
      return new TruthFiles(file, expected(directory, ""));
    }
    return new TruthFiles(file, expected(directory, name.replaceFirst(PART, "") + "-"));
  }

  private static List<Path> expected(Path directory, String stem) throws IOException {
    return list(directory).stream()
        .filter(file -> {
          String name = file.getFileName().toString();
          return name.startsWith("expected-" + stem) && name.endsWith(".safetensors");
        })
        .toList();
  }

  private static List<Path> list(Path directory) throws IOException {
    if (!Files.isDirectory(directory)) {
      return List.of();
    }
    try (Stream<Path> files = Files.list(directory)) {
      return files.sorted().toList();
    }
  }
}
