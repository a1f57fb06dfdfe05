package io.engram4j.host;

import java.nio.file.Files;
import java.nio.file.Path;

/** Where this project keeps what can be made again. */
public final class CacheDirectory {
  private static final String NAME = "engram4j";

  private CacheDirectory() {}

  /**
   * Returns {@code $XDG_CACHE_HOME/engram4j}, else {@code ~/.cache/engram4j}, else one in the
   * temporary directory, for users without a home. It may not exist.
   */
  public static Path ofUser() {
    String xdg = System.getenv("XDG_CACHE_HOME");
    if (xdg != null && !xdg.isBlank()) {
      return Path.of(xdg).resolve(NAME).toAbsolutePath();
    }
    Path home = Path.of(System.getProperty("user.home", "?")); // what the JDK says of no home
    return home.isAbsolute() && Files.isDirectory(home)
        ? home.resolve(".cache").resolve(NAME)
        : Path.of(System.getProperty("java.io.tmpdir"), NAME + "-" + OwnDirectory.user());
  }
}
