package io.engram4j.ucx;

import io.engram4j.remote.wire.WireEngine;

/**
 * Servers of slices over UCX: {@code ucx://host:port}, and {@code ?tls=rc,tcp} to demand networks.
 * For machines that trust each other: nothing is enciphered.
 */
public final class UcxEngine extends WireEngine {
  /** For the service loader. */
  public UcxEngine() {
    super("ucx", new UcxTransport());
  }
}
