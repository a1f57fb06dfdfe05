package io.engram4j.remote.wire;

/** Servers of slices over sockets: {@code engram://host:port}. */
public final class SocketEngine extends WireEngine {
  /** For the service loader. */
  public SocketEngine() {
    super("engram", new SocketTransport());
  }
}
