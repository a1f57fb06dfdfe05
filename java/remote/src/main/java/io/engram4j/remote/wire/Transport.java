package io.engram4j.remote.wire;

import java.io.Closeable;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.Map;
import java.util.function.Function;

/** Makes links. Thread-safe. */
public interface Transport {
  /**
   * Connects to a server.
   *
   * @param settings of the address, such as which network is demanded
   * @param inbox hears of what comes
   * @throws IOException if it does not answer, or the settings cannot be had
   */
  Link connect(InetSocketAddress to, Map<String, String> settings, Link.Inbox inbox)
      throws IOException;

  /**
   * Listens until it is closed.
   *
   * @param accept gives a new link its inbox
   * @throws IOException if nobody can listen there
   */
  Listener listen(
      InetSocketAddress at, Map<String, String> settings, Function<Link, Link.Inbox> accept)
      throws IOException;

  /** Listens. */
  interface Listener extends Closeable {
    /** Returns the port, which may have been left to the system. */
    int port();

    @Override
    void close();
  }
}
