package io.engram4j.host;

import java.nio.file.Path;

/** Where this project keeps what can be made again. */
public final class CacheDirectory {
  private CacheDirectory() {}

  /** Returns {@code $XDG_CACHE_HOME/engram4j}, else {@code ~/.cache/engram4j}; it may not exist. */
  public static Path ofUser() {
    String xdg = System.getenv("XDG_CACHE_HOME");
    Path base =
        xdg != null && !xdg.isBlank()
            ? Path.of(xdg)
            : Path.of(System.getProperty("user.home"), ".cache");
    return base.resolve("engram4j").toAbsolutePath();
  }
}
