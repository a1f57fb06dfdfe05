package io.engram4j.hf;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/** Models as the Hugging Face hub's tools keep them: {@code models--ORG--NAME/snapshots/COMMIT}. */
public final class HubCache {
  private static final int MOST_NAME = 200;

  private HubCache() {}

  /**
   * Returns the model directory that a path or name stands for: a directory itself; the snapshot
   * that {@code refs/main} names, or the only one, of a cached repository; and for {@code
   * ORG/NAME}, where there is no such directory, that repository's in {@code $HF_HUB_CACHE}, {@code
   * $HF_HOME/hub} or {@code ~/.cache/huggingface/hub}. Anything else is returned as it is.
   *
   * @throws IOException if a cached repository has no snapshot, or several and none is named
   */
  public static Path resolve(Path path) throws IOException {
    return resolve(path, System.getenv());
  }

  static Path resolve(Path path, Map<String, String> environment) throws IOException {
    if (Files.isDirectory(path)) {
      return isRepository(path) ? snapshot(path) : path;
    }
    if (Files.exists(path) || path.isAbsolute() || path.getNameCount() != 2) {
      return path;
    }
    Path cached = hub(environment).resolve("models--" + path.getName(0) + "--" + path.getName(1));
    return isRepository(cached) ? snapshot(cached) : path;
  }

  private static Path hub(Map<String, String> environment) {
    String hub = environment.get("HF_HUB_CACHE");
    if (hub != null && !hub.isBlank()) {
      return Path.of(hub);
    }
    String home = environment.get("HF_HOME");
    return home != null && !home.isBlank()
        ? Path.of(home, "hub")
        : Path.of(System.getProperty("user.home", ""), ".cache", "huggingface", "hub");
  }

  private static boolean isRepository(Path path) {
    return Files.isDirectory(path.resolve("snapshots"))
        && !Files.exists(path.resolve("config.json"));
  }

  private static Path snapshot(Path repository) throws IOException {
    Path snapshots = repository.resolve("snapshots");
    Path main = repository.resolve("refs").resolve("main");
    if (Files.isRegularFile(main) && Files.size(main) < MOST_NAME) {
      String commit = Files.readString(main, StandardCharsets.ISO_8859_1).strip();
      if (commit.matches("[0-9A-Za-z._-]+") && Files.isDirectory(snapshots.resolve(commit))) {
        return snapshots.resolve(commit);
      }
    }
    List<Path> all;
    try (Stream<Path> files = Files.list(snapshots)) {
      all = files.filter(Files::isDirectory).sorted().toList();
    }
    if (all.size() != 1) {
      throw new IOException(
          repository
              + " has "
              + all.size()
              + " snapshots and refs/main names none of them; name one of "
              + snapshots);
    }
    return all.getFirst();
  }
}
