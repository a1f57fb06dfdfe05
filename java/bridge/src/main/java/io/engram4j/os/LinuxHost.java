package io.engram4j.os;

import io.engram4j.host.Host;
import io.engram4j.host.HostFiles;
import io.engram4j.host.HostMemory;
import io.engram4j.host.HostNuma;
import java.util.Locale;

/** Linux. */
public final class LinuxHost implements Host {
  private final HostMemory memory = new LinuxMemory();
  private final HostFiles files = new LinuxFiles();
  private final HostNuma numa = new LinuxNuma();

  /** Made by the service loader. */
  public LinuxHost() {}

  @Override
  public boolean isAvailable() {
    if (!System.getProperty("os.name").toLowerCase(Locale.ROOT).startsWith("linux")) {
      return false;
    }
    try {
      return Libc.PAGE > 0;
    } catch (LinkageError | IllegalCallerException e) {
      return false; // native access is denied
    }
  }

  @Override
  public HostMemory memory() {
    return memory;
  }

  @Override
  public HostFiles files() {
    return files;
  }

  @Override
  public HostNuma numa() {
    return numa;
  }
}
