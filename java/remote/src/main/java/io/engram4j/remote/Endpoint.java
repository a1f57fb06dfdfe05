package io.engram4j.remote;

import java.io.IOException;
import java.util.ArrayDeque;
import java.util.Queue;
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

  /** Requests that wait to be sent are in the first, which has no other owner. */
  private final ArrayDeque<Queue<Fetch>> unsent = new ArrayDeque<>();

  private volatile int unsentRows;
  private volatile @Nullable Serving serving;
  private volatile long leftAlone;
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
    this.unsent.add(new ArrayDeque<>());
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

  /** Takes a request, which is sent with the next that fill a message, or by {@link #send}. */
  void start(Fetch fetch) {
    underWay.incrementAndGet();
    requests.increment();
    Queue<Fetch> full = null;
    synchronized (unsent) {
      if (unsentRows > 0 && unsentRows + fetch.count() > RowServer.MOST_TOGETHER) {
        full = takeUnsent();
      }
      unsent.element().add(fetch);
      unsentRows += fetch.count();
    }
    if (full != null) {
      send(full);
    }
  }

  /** Returns whether something waits to be sent, and a message has room for so many rows beside. */
  boolean takesMore(int rows) {
    int now = unsentRows;
    return now > 0 && now + rows <= RowServer.MOST_TOGETHER;
  }

  /** Sends what waits. */
  void send() {
    if (unsentRows > 0) {
      Queue<Fetch> some;
      synchronized (unsent) {
        some = takeUnsent();
      }
      send(some);
    }
  }

  /** Takes the first of the queues, so that requests are gathered in the next. */
  private Queue<Fetch> takeUnsent() {
    if (unsent.size() == 1) {
      unsent.add(new ArrayDeque<>());
    }
    unsentRows = 0;
    return unsent.remove();
  }

  private void send(Queue<Fetch> some) {
    Serving now = serving;
    try {
      if (now == null) {
        fail(some, new IOException(shown + " is not connected"));
      } else if (!some.isEmpty()) {
        now.server().start(some);
      }
    } catch (RuntimeException | Error e) { // no thread, or no memory for the request
      fail(some, e);
    }
    synchronized (unsent) {
      unsent.add(some);
    }
  }

  private static void fail(Queue<Fetch> some, Throwable why) {
    while (!some.isEmpty()) {
      some.remove().failed(why);
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

  /** A request failed, or another replica was faster by far. */
  void failed(@Nullable Throwable why) {
    failures.increment();
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
