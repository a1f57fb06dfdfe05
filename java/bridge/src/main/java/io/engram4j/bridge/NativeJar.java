package io.engram4j.bridge;

import java.io.InputStream;
import org.jspecify.annotations.Nullable;

/**
 * A jar with a platform's libraries in the folder {@code io.engram4j.natives/PLATFORM}. The
 * folder's name is no package's, so that other modules may look into it.
 */
public abstract class NativeJar implements NativeResource {
  private final String platform;

  /** A jar of a platform, named as by os-maven-plugin, such as {@code linux-aarch_64}. */
  protected NativeJar(String platform) {
    this.platform = platform;
  }

  @Override
  public String platform() {
    return platform;
  }

  @Override
  public @Nullable InputStream open(String library) {
    String file =
        platform.startsWith("windows")
            ? library + ".dll"
            : "lib" + library + (platform.startsWith("osx") ? ".dylib" : ".so");
    return getClass().getResourceAsStream("/io.engram4j.natives/" + platform + "/" + file);
  }
}
