package io.engram4j.remote;

import io.engram4j.remote.Manifest.SlicedTable;
import io.engram4j.table.RowSource;
import java.io.Closeable;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * All endpoints of a model, and the generation whose rows are taken: the one that most endpoints
 * serve among those of which every slice is served. A thread for each endpoint asks it what it
 * serves, and connects anew what is lost. Thread-safe.
 */
final class Fleet implements RowSource.Group, Closeable {
  private static final Logger log = LoggerFactory.getLogger(Fleet.class);
  private static final int MOST_BACK_OFF = 16; // times the usual pause
  private static final Duration LEAST_PAUSE = Duration.ofMillis(20); // however many cannot wait

  private final Manifest shape;
  private final @Nullable String pinned;
  private final Set<String> refused = ConcurrentHashMap.newKeySet(); // told once
  private final List<Endpoint> endpoints;
  private final RemoteOptions options;
  private final List<Thread> threads = new ArrayList<>();
  private volatile @Nullable Generation current;
  private volatile boolean closed;

  /**
   * Rows that belong together.
   *
   * @param id of the manifest
   * @param number from 1, larger for each that is taken
   */
  record Generation(Manifest manifest, String id, int number) {}

  /**
   * Takes endpoints that were asked once.
   *
   * @param shape the tables whose shapes every generation has
   * @param pinned the only generation that is taken, or null for any
   * @throws IOException if some slice is served by none
   */
  Fleet(Manifest shape, @Nullable String pinned, List<Endpoint> endpoints, RemoteOptions options)
      throws IOException {
    this.shape = shape;
    this.pinned = pinned;
    this.endpoints = List.copyOf(endpoints);
    this.options = options;
    choose();
    if (current == null) {
      throw new IOException(missing());
    }
    try {
      for (Endpoint endpoint : endpoints) {
        threads.add(
            Thread.ofPlatform()
                .daemon()
                .name("engram-remote-" + endpoint.address())
                .start(() -> watch(endpoint)));
      }
    } catch (Throwable e) { // no thread: those that there are must not go on
      closed = true;
      hurry();
      throw e;
    }
  }

  /** Returns the generation whose rows are taken just now. */
  Generation current() {
    Generation now = current;
    if (now == null) {
      throw new IllegalStateException("no generation was ever complete");
    }
    return now;
  }

  boolean isClosed() {
    return closed;
  }

  List<Endpoint> endpoints() {
    return endpoints;
  }

  @Override
  public RowSource.Round newRound() {
    return new RemoteRound(this);
  }

  @Override
  public int mostRows() {
    return RowServer.MOST_TOGETHER;
  }

  private void watch(Endpoint endpoint) {
    Duration pause = options.refresh();
    long least = LEAST_PAUSE.toNanos();
    while (!closed) {
      long began = System.nanoTime();
      LockSupport.parkNanos(this, pause.toNanos()); // or until somebody cannot wait
      for (long left = least; left > 0 && !closed; left = began + least - System.nanoTime()) {
        LockSupport.parkNanos(this, left);
      }
      if (closed) {
        return;
      }
      boolean answers = endpoint.tryRefresh();
      Duration slower = pause.multipliedBy(2);
      Duration most = options.refresh().multipliedBy(MOST_BACK_OFF);
      pause = answers ? options.refresh() : slower.compareTo(most) < 0 ? slower : most;
      choose();
    }
  }

  /** Asks all endpoints at once what they serve, and returns before they answer. */
  void hurry() {
    threads.forEach(LockSupport::unpark);
  }

  private synchronized void choose() {
    Map<String, Manifest> manifests = new LinkedHashMap<>();
    Map<String, Integer> counts = new LinkedHashMap<>();
    for (Endpoint endpoint : endpoints) {
      Endpoint.Serving serving = endpoint.serving();
      if (serving != null
          && (pinned == null || pinned.equals(serving.generation()))
          && sameShape(endpoint, serving)) {
        manifests.put(serving.generation(), serving.manifest());
        counts.merge(serving.generation(), 1, Integer::sum);
      }
    }
    Generation now = current;
    String best = now == null ? "" : now.id();
    int most = isComplete(best, manifests.get(best)) ? counts.getOrDefault(best, 0) : 0;
    for (Map.Entry<String, Manifest> entry : manifests.entrySet()) {
      int count = counts.getOrDefault(entry.getKey(), 0);
      if (count > most && isComplete(entry.getKey(), entry.getValue())) {
        best = entry.getKey();
        most = count;
      }
    }
    Manifest chosen = manifests.get(best);
    if (chosen != null && (now == null || !now.id().equals(best))) {
      current = new Generation(chosen, best, now == null ? 1 : now.number() + 1);
      log.info("{}: rows of generation {}, revision {}", chosen.model(), best, chosen.revision());
    }
  }

  private boolean isComplete(String generation, @Nullable Manifest manifest) {
    if (manifest == null) {
      return false;
    }
    for (SlicedTable table : manifest.tables()) {
      for (int slice = 0; slice < table.slices().size(); slice++) {
        if (!isServed(generation, table.layer(), slice)) {
          return false;
        }
      }
    }
    return true;
  }

  private boolean isServed(String generation, int layer, int slice) {
    return endpoints.stream().anyMatch(endpoint -> serves(endpoint, generation, layer, slice));
  }

  static boolean serves(Endpoint endpoint, String generation, int layer, int slice) {
    Endpoint.Serving serving = endpoint.serving();
    return serving != null
        && serving.generation().equals(generation)
        && serving.server().serves(layer, slice);
  }

  private boolean sameShape(Endpoint endpoint, Endpoint.Serving other) {
    String difference = shape.difference(other.manifest());
    if (difference != null && refused.add(endpoint.address() + other.generation())) {
      log.warn("{} serves another model: {}", endpoint.address(), difference);
    }
    return difference == null;
  }

  private String missing() {
    List<String> known = new ArrayList<>();
    for (Endpoint endpoint : endpoints) {
      Endpoint.Serving serving = endpoint.serving();
      known.add(
          endpoint.address()
              + (serving == null ? " does not answer" : " serves " + serving.generation()));
    }
    String wanted = pinned == null ? "no generation" : "generation " + pinned;
    String whole = pinned == null ? " is served whole: " : " is not served whole: ";
    return wanted + " of " + shape.model() + whole + String.join(", ", known);
  }

  @Override
  public void close() throws IOException {
    closed = true;
    hurry();
    boolean interrupted = false;
    for (Thread thread : threads) {
      while (thread.isAlive()) {
        try {
          thread.join();
        } catch (InterruptedException e) {
          interrupted = true;
        }
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
    IOException failed = null;
    for (Endpoint endpoint : endpoints) {
      try {
        endpoint.close();
      } catch (IOException | RuntimeException e) {
        failed = failed == null ? new IOException(endpoint.address() + ": " + e, e) : failed;
      }
    }
    if (failed != null) {
      throw failed;
    }
  }
}
