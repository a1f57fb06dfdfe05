package io.engram4j.ucx;

import io.engram4j.remote.wire.Link;
import io.engram4j.remote.wire.Transport;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;

/** Links of UCX: those to servers share a worker, and those of a server's clients another. */
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

  private final Map<String, Shared> shared = new HashMap<>();

  private static UcxWorker worker(String networks, String name, Runnable onEnd) throws IOException {
    UcxContext context = new UcxContext(Ucp.load(), networks);
    try {
      return new UcxWorker(context, name, onEnd);
    } catch (Throwable e) {
      context.close();
      throw e;
    }
  }

  @Override
  public Link connect(InetSocketAddress to, Map<String, String> settings, Link.Inbox inbox)
      throws IOException {
    String networks = networks(settings);
    UcxWorker worker = join(networks);
    try {
      return worker.connect(to, inbox, networks);
    } catch (Throwable e) {
      leave(networks);
      throw e;
    }
  }

  /** A worker with how many use it; there are some as long as it is there. */
  private static final class Shared {
    private final UcxWorker worker;
    private int users;

    Shared(UcxWorker worker) {
      this.worker = worker;
    }
  }

  private UcxWorker join(String networks) throws IOException {
    synchronized (shared) {
      Shared known = shared.get(networks);
      if (known == null) {
        known = new Shared(worker(networks, "clients", () -> leave(networks)));
        shared.put(networks, known);
      }
      known.users++;
      return known.worker;
    }
  }

  private void leave(String networks) {
    synchronized (shared) {
      Shared known = shared.get(networks);
      if (known != null && --known.users == 0) {
        shared.remove(networks);
        known.worker.closeSoon();
      }
    }
  }

  @Override
  public Listener listen(
      InetSocketAddress at, Map<String, String> settings, Function<Link, Link.Inbox> accept)
      throws IOException {
    UcxWorker worker = worker(networks(settings), "listens-" + at, () -> {});
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
