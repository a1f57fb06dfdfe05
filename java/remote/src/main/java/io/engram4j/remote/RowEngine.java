package io.engram4j.remote;

import java.io.IOException;
import java.util.List;

/**
 * A kind of server that can hold rows, chosen by the scheme of an address. Found as a service; one
 * entry and one module for each.
 */
public interface RowEngine {
  /** Returns the schemes of the addresses that it takes, such as {@code redis}. */
  List<String> schemes();

  /**
   * Connects to an endpoint.
   *
   * @param address such as {@code redis://host:6379}
   * @throws IOException if it cannot be reached, or serves no tables
   * @throws IllegalArgumentException if the address is not one
   */
  RowServer connect(String address, RemoteOptions options) throws IOException;
}
