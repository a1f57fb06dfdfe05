package io.engram4j.tokenizer;

import java.nio.file.Files;
import java.nio.file.Path;

/**
 * What DJL reads from properties when it starts: it must ask no network (its telemetry asks the
 * cloud's metadata address), and put its library where this project's other files are, which is
 * never the current directory.
 */
final class DjlSettings {
  private DjlSettings() {}

  static void apply() {
    set("ai.djl.offline", "true");
    set("OPT_OUT_TRACKING", "true");
    set("DJL_CACHE_DIR", directory().toString());
    set("jna.tmpdir", directory().resolve("jna").toString()); // or a folder at the home's place
  }

  private static void set(String name, String value) {
    if (System.getenv(name) == null) {
      System.getProperties().putIfAbsent(name, value);
    }
  }

  /** As the natives' cache has it: a user's cache, else one in the temporary directory. */
  private static Path directory() {
    String xdg = System.getenv("XDG_CACHE_HOME");
    Path home = Path.of(System.getProperty("user.home", "?"));
    if (xdg != null && !xdg.isBlank()) {
      return Path.of(xdg, "engram4j", "djl").toAbsolutePath();
    }
    return home.isAbsolute() && Files.isDirectory(home)
        ? home.resolve(Path.of(".cache", "engram4j", "djl"))
        : Path.of(
            System.getProperty("java.io.tmpdir"), "engram4j-djl-" + ProcessHandle.current().pid());
  }
}
