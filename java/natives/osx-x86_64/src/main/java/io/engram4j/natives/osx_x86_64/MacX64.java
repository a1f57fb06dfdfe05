package io.engram4j.natives.osx_x86_64;

import io.engram4j.bridge.NativeJar;

/** Opens the libraries of this jar. */
public final class MacX64 extends NativeJar {
  /** Made by the service loader. */
  public MacX64() {
    super("osx-x86_64");
  }
}
