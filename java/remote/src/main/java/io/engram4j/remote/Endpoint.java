package io.engram4j.remote;

import java.io.IOException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.LongAdder;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * An address with what is known of it: its connection if there is one, what it serves, how fast it
 * is, and whether it is left alone for a while. Thread-safe.
 */
final class Endpoint {
  private static final Logger log = LoggerFactory.getLogger(Endpoint.class);

  private final String address; // with a password, perhaps
  private final String shown;
  private final RowEngine engine;
  private final RemoteOptions options;
  private final AtomicInteger underWay = new AtomicInteger();
  private final AtomicInteger failuresInARow = new AtomicInteger();
  private final Latency latency = new Latency();
  private final LongAdder requests = new LongAdder();
  private final LongAdder failures = new LongAdder();

  private volatile @Nullable Serving serving;
  private volatile long leftAlone;
  private volatile long lastFailure = System.nanoTime();
  private @Nullable RowServer server; // perhaps one that does not answer just now
  private boolean closed;
  private boolean told; // that it is lost

  /** A connection with what it served when it was asked last. */
  record Serving(RowServer server, Manifest manifest, String generation) {}

  Endpoint(String address, RowEngine engine, RemoteOptions options) {
    this.address = address;
    this.shown = Addresses.shown(address);
    this.engine = engine;
    this.options = options;
  }

  /** Returns the address as messages have it. */
  String address() {
    return shown;
  }

  /** Returns what is served, or null while there is no connection. */
  @Nullable Serving serving() {
    return serving;
  }

  /** Returns whether requests go there: it answers, and did not fail again and again. */
  boolean isOpen() {
    return serving != null && failuresInARow.get() < options.failures();
  }

  int underWay() {
    return underWay.get();
  }

  /** Returns after how long another replica is asked too. */
  long hedgeNanos() {
    return Math.max(options.hedgeFloor().toNanos(), 2 * latency.quantile(0.99));
  }

  /** A request is on its way here. */
  void begun() {
    underWay.incrementAndGet();
    requests.increment();
  }

  /** Sends requests, one message if they are small; takes them out. */
  void send(Fetches some) {
    for (Fetch fetch = some.first(); fetch != null; fetch = some.after(fetch)) {
      fetch.sent();
    }
    Serving now = serving;
    if (now == null) {
      some.fail(new IOException(shown + " is not connected"));
      return;
    }
    try {
      now.server().start(some);
    } catch (RuntimeException | Error e) { // no thread, or no memory for the request
      some.fail(e);
    }
  }

  /** Returns what those who wait may drive, or null. */
  @Nullable Driver driver() {
    Serving now = serving;
    return now == null ? null : now.server().driver();
  }

  /** A request has ended, whether anybody waits for it or not. */
  void ended() {
    underWay.decrementAndGet();
  }

  void succeeded(long nanos) {
    failuresInARow.set(0);
    latency.add(nanos);
  }

  /**
   * A request failed, or another replica was faster by far. Those that were sent before the last
   * failure was known count as one with that.
   */
  void failed(Fetch fetch, @Nullable Throwable why) {
    failures.increment();
    if (fetch.isSent() && fetch.started() - lastFailure < 0) {
      return;
    }
    lastFailure = System.nanoTime();
    if (failuresInARow.incrementAndGet() == options.failures()) {
      leftAlone = System.nanoTime();
      log.warn("{} is left alone after {} failures: {}", shown, options.failures(), why);
    }
  }

  /**
   * Asks what is served, over a new connection if the old one does not tell, and takes requests
   * again. An old one is closed only when there is a new one: that of a cluster knows all nodes,
   * and not only the one that the address names.
   *
   * @throws IOException if it does not answer
   */
  synchronized void refresh() throws IOException {
    if (closed) {
      throw new IOException(shown + " is closed");
    }
    RowServer before = server;
    if (before != null) {
      try {
        serve(before, false);
        return;
      } catch (IOException | RuntimeException e) {
        serving = null;
        log.debug("{} does not answer", shown, e);
      }
    }
    RowServer fresh = engine.connect(address, options);
    try {
      serve(fresh, true);
      server = fresh;
    } catch (Throwable e) {
      serving = null;
      close(fresh, e);
      throw e;
    }
    if (before != null) {
      close(before, new IOException(shown));
    }
  }

  private void serve(RowServer from, boolean anew) throws IOException {
    Manifest manifest = from.manifest();
    Serving known = serving;
    boolean same = known != null && known.server() == from && known.manifest().equals(manifest);
    serving = same ? known : new Serving(from, manifest, manifest.generation());
    boolean waited = System.nanoTime() - leftAlone >= options.refresh().toNanos();
    if (anew || (failuresInARow.get() >= options.failures() && waited)) {
      failuresInARow.set(0); // one that gives its manifest but no rows is left alone again
    }
    if (told) {
      told = false;
      log.info("{} answers again", shown);
    }
  }

  private static void close(RowServer server, Throwable beside) {
    try {
      server.close();
    } catch (IOException | RuntimeException e) {
      beside.addSuppressed(e);
    }
  }

  /** Does the same, and says once that it failed. */
  boolean tryRefresh() {
    try {
      refresh();
      return true;
    } catch (IOException | RuntimeException | Error e) { // the thread that tries must go on
      if (!told) {
        told = true;
        log.warn("{} does not answer: {}", shown, e.toString());
      }
      return false;
    }
  }

  EndpointStatistics statistics() {
    Serving now = serving;
    return new EndpointStatistics(
        shown,
        now == null ? "" : now.generation(),
        isOpen(),
        requests.sum(),
        failures.sum(),
        latency.quantile(0.5),
        latency.quantile(0.99));
  }

  /** Ends the connection for good. */
  synchronized void close() throws IOException {
    closed = true;
    serving = null;
    RowServer last = server;
    server = null;
    if (last != null) {
      last.close();
    }
  }
}
