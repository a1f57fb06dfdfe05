package io.engram4j.host;

/**
 * What an operating system offers for large tables; found through {@link java.util.ServiceLoader}.
 * Making one must not throw.
 */
public interface Host {
  /** Returns whether this can be used here. Must not throw. */
  boolean isAvailable();

  /** Returns how memory is allocated. */
  HostMemory memory();

  /** Returns how files are read. */
  HostFiles files();

  /** Returns how memory is placed on nodes. */
  HostNuma numa();
}
