package io.engram4j.tokenizer;

import io.engram4j.host.CacheDirectory;
import io.engram4j.host.OwnDirectory;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * What DJL and JNA read from properties when they start: they must ask no network (DJL's telemetry
 * asks the cloud's metadata address), and put their libraries where nobody else can write to, which
 * is never the current directory.
 */
final class DjlSettings {
  private static boolean applied;

  private DjlSettings() {}

  static synchronized void apply() throws IOException {
    if (applied) {
      return;
    }
    set("ai.djl.offline", "true");
    set("OPT_OUT_TRACKING", "true");
    if (isUnset("DJL_CACHE_DIR") || isUnset("jna.tmpdir")) {
      Path directory = directory();
      set("DJL_CACHE_DIR", directory.toString());
      set("jna.tmpdir", directory.resolve("jna").toString());
    }
    applied = true;
  }

  private static boolean isUnset(String name) {
    return System.getenv(name) == null && System.getProperty(name) == null;
  }

  private static void set(String name, String value) {
    if (isUnset(name)) {
      System.setProperty(name, value);
    }
  }

  /** The user's cache, or a new directory where there is none that only this user can write to. */
  private static Path directory() throws IOException {
    Path cache = CacheDirectory.ofUser().resolve("djl");
    try {
      Path own = OwnDirectory.makeAll(cache);
      if (Files.isWritable(own)) {
        return own;
      }
    } catch (IOException e) {
      // a new one
    }
    Path fresh = Files.createTempDirectory("engram4j-djl-");
    Runtime.getRuntime().addShutdownHook(new Thread(() -> delete(fresh)));
    return fresh;
  }

  private static void delete(Path directory) {
    try (var files = Files.walk(directory)) {
      for (Path file : files.sorted(java.util.Comparator.reverseOrder()).toList()) {
        Files.deleteIfExists(file);
      }
    } catch (IOException | java.io.UncheckedIOException e) {
      return; // the system's temporary files are cleaned up
    }
  }
}
