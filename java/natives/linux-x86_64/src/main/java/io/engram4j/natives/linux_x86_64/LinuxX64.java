package io.engram4j.natives.linux_x86_64;

import io.engram4j.ffm.NativeResource;
import java.io.InputStream;
import org.jspecify.annotations.Nullable;

/** Opens the libraries of this jar. */
public final class LinuxX64 implements NativeResource {
  /** Made by the service loader. */
  public LinuxX64() {}

  @Override
  public String platform() {
    return "linux-x86_64";
  }

  @Override
  public @Nullable InputStream open(String library) {
    // the folder's name is no package's, so that other modules may look into it
    return LinuxX64.class.getResourceAsStream(
        "/io.engram4j.natives/linux-x86_64/lib" + library + ".so");
  }
}
