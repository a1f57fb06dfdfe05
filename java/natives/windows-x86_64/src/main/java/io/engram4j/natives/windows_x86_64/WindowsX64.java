package io.engram4j.natives.windows_x86_64;

import io.engram4j.bridge.NativeJar;

/** Opens the libraries of this jar. */
public final class WindowsX64 extends NativeJar {
  /** Made by the service loader. */
  public WindowsX64() {
    super("windows-x86_64");
  }
}
