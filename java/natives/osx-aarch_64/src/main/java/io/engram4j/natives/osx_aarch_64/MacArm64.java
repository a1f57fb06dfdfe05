package io.engram4j.natives.osx_aarch_64;

import io.engram4j.bridge.NativeJar;

/** Opens the libraries of this jar. */
public final class MacArm64 extends NativeJar {
  /** Made by the service loader. */
  public MacArm64() {
    super("osx-aarch_64");
  }
}
