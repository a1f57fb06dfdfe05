package io.engram4j.remote.wire;

import io.engram4j.remote.RemoteOptions;
import io.engram4j.remote.RowEngine;
import io.engram4j.remote.RowServer;
import java.io.IOException;
import java.util.List;

/** Servers of slices, over a transport: {@code engram serve} is one. Thread-safe. */
public abstract class WireEngine implements RowEngine {
  private final String scheme;
  private final Transport transport;

  /** Takes addresses of a scheme. */
  protected WireEngine(String scheme, Transport transport) {
    this.scheme = scheme;
    this.transport = transport;
  }

  @Override
  public final List<String> schemes() {
    return List.of(scheme);
  }

  @Override
  public final RowServer connect(String address, RemoteOptions options) throws IOException {
    return WireServer.connect(transport, address, WireAddress.parse(address), options);
  }

  int serve(String address, SliceServer slices, boolean any) throws IOException {
    return slices.listen(transport, WireAddress.parse(address), any);
  }
}
