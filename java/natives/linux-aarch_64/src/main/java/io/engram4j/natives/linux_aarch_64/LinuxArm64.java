package io.engram4j.natives.linux_aarch_64;

import io.engram4j.bridge.NativeJar;

/** Opens the libraries of this jar. */
public final class LinuxArm64 extends NativeJar {
  /** Made by the service loader. */
  public LinuxArm64() {
    super("linux-aarch_64");
  }
}
