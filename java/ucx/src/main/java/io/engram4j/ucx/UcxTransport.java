package io.engram4j.ucx;

import io.engram4j.remote.wire.Link;
import io.engram4j.remote.wire.Transport;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;

/** Links of UCX, each with a worker of its own; a server's clients share one. */
final class UcxTransport implements Transport {
  private static final String NETWORKS = "tls";

  private static String networks(Map<String, String> settings) {
    Set<String> unknown = new HashSet<>(settings.keySet());
    unknown.remove(NETWORKS);
    if (!unknown.isEmpty()) {
      throw new IllegalArgumentException("an address of UCX takes key and tls, but not " + unknown);
    }
    return settings.getOrDefault(NETWORKS, "");
  }

  private static UcxWorker worker(String networks, String name) throws IOException {
    UcxContext context = new UcxContext(Ucp.load(), networks);
    try {
      return new UcxWorker(context, name);
    } catch (Throwable e) {
      context.close();
      throw e;
    }
  }

  @Override
  public Link connect(InetSocketAddress to, Map<String, String> settings, Link.Inbox inbox)
      throws IOException {
    String networks = networks(settings);
    UcxWorker worker = worker(networks, to.toString());
    try {
      UcxLink link = worker.connect(to, inbox, networks);
      return new Owned(worker, link);
    } catch (Throwable e) {
      worker.close();
      throw e;
    }
  }

  /** A link with the worker that is its own. */
  private record Owned(UcxWorker worker, UcxLink link) implements Link {
    @Override
    public void send(io.engram4j.remote.wire.Message message) throws IOException {
      link.send(message);
    }

    @Override
    public String peer() {
      return link.peer();
    }

    @Override
    public void close() {
      worker.close();
    }
  }

  @Override
  public Listener listen(
      InetSocketAddress at, Map<String, String> settings, Function<Link, Link.Inbox> accept)
      throws IOException {
    UcxWorker worker = worker(networks(settings), "listens-" + at);
    try {
      int port = worker.listen(at, accept);
      return new Listener() {
        @Override
        public int port() {
          return port;
        }

        @Override
        public void close() {
          worker.close();
        }
      };
    } catch (Throwable e) {
      worker.close();
      throw e;
    }
  }
}
