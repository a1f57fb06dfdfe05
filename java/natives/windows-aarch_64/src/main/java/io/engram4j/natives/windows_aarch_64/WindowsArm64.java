package io.engram4j.natives.windows_aarch_64;

import io.engram4j.bridge.NativeJar;

/** Opens the libraries of this jar. */
public final class WindowsArm64 extends NativeJar {
  /** Made by the service loader. */
  public WindowsArm64() {
    super("windows-aarch_64");
  }
}
