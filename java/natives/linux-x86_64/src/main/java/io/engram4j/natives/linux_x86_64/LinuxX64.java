package io.engram4j.natives.linux_x86_64;

import io.engram4j.bridge.NativeJar;

/** Opens the libraries of this jar. */
public final class LinuxX64 extends NativeJar {
  /** Made by the service loader. */
  public LinuxX64() {
    super("linux-x86_64");
  }
}
