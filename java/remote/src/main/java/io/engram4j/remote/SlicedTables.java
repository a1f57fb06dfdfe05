package io.engram4j.remote;

import io.engram4j.remote.Manifest.SlicedTable;
import io.engram4j.table.RemoteTables;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.ServiceLoader;
import org.jspecify.annotations.Nullable;

/**
 * A model's tables that other machines hold. Rows come from replicas of slices: of two that fail or
 * are slow the other is asked, and what is lost is connected anew in the background. Every batch is
 * of one generation; when all slices have a new one, later batches are of that. Thread-safe; closed
 * after the models that use it.
 */
public final class SlicedTables implements RemoteTables, AutoCloseable {
  private final Fleet fleet;
  private final RemoteOptions options;
  private final FetchPool pool = new FetchPool();
  private final RemoteStatistics statistics = new RemoteStatistics();

  private SlicedTables(Fleet fleet, RemoteOptions options) {
    this.fleet = fleet;
    this.options = options;
  }

  /**
   * Connects to those who serve a model's rows.
   *
   * @param addresses one or more, parted by commas: of endpoints, such as {@code
   *     redis://host:6379}, or the path of a manifest that names endpoints: then rows of its
   *     generation are taken, and of no other
   * @throws IOException if no generation is served whole; the message says what each endpoint told
   * @throws IllegalArgumentException if no engine takes an address; the message lists the schemes
   */
  public static SlicedTables connect(String addresses, RemoteOptions options) throws IOException {
    Manifest pinned = null;
    List<String> named = new ArrayList<>();
    for (String address : addresses.split(",", -1)) {
      if (address.contains("://")) {
        named.add(address.strip());
      } else if (address.contains("@")) { // perhaps with a password, so it is not shown
        throw new IllegalArgumentException(
            Addresses.shown(address) + " has no scheme, or stands behind a comma in a password");
      } else {
        pinned = Manifest.read(Path.of(address));
        if (pinned.endpoints().isEmpty()) {
          throw new IOException(address + " names no endpoints");
        }
        named.addAll(pinned.endpoints());
      }
    }
    return connect(pinned, named, engines(), options);
  }

  private static List<RowEngine> engines() {
    return ServiceLoader.load(RowEngine.class, SlicedTables.class.getClassLoader()).stream()
        .map(ServiceLoader.Provider::get)
        .toList();
  }

  /**
   * Finds the engine that takes an address.
   *
   * @throws IllegalArgumentException if none does; the message lists the schemes
   */
  static RowEngine engine(String address) {
    return engine(address, engines());
  }

  static SlicedTables connect(
      @Nullable Manifest pinned,
      List<String> addresses,
      List<RowEngine> engines,
      RemoteOptions options)
      throws IOException {
    if (addresses.size() > Long.SIZE) {
      throw new IllegalArgumentException(addresses.size() + " endpoints; at most 64");
    }
    List<Endpoint> endpoints =
        addresses.stream().map(a -> new Endpoint(a, engine(a, engines), options)).toList();
    try {
      List<Throwable> failures = refresh(endpoints);
      for (Throwable failure : failures) {
        if (failure instanceof IllegalArgumentException wrong) { // of the address itself
          throw wrong;
        }
      }
      Manifest shape = pinned;
      for (Endpoint endpoint : endpoints) {
        Endpoint.Serving serving = endpoint.serving();
        shape = shape == null && serving != null ? serving.manifest() : shape;
      }
      if (shape == null) {
        throw unanswered(endpoints, failures);
      }
      if (pinned != null) {
        Fleet fleet = new Fleet(shape, pinned.generation(), endpoints, options);
        return new SlicedTables(fleet, options.pin());
      }
      String first = options.pinned() ? shape.generation() : null;
      return new SlicedTables(new Fleet(shape, first, endpoints, options), options);
    } catch (Throwable e) {
      for (Endpoint endpoint : endpoints) {
        try {
          endpoint.close();
        } catch (IOException | RuntimeException other) {
          e.addSuppressed(other);
        }
      }
      throw e;
    }
  }

  private static IOException unanswered(List<Endpoint> endpoints, List<Throwable> failures) {
    List<String> known = new ArrayList<>();
    for (int i = 0; i < endpoints.size(); i++) {
      known.add(endpoints.get(i).address() + ": " + failures.get(i));
    }
    IOException e = new IOException("no endpoint answers: " + String.join("; ", known));
    failures.forEach(e::addSuppressed);
    return e;
  }

  /** Asks all at once; one that hangs does not keep the others waiting. */
  private static List<Throwable> refresh(List<Endpoint> endpoints) {
    @Nullable Throwable[] failures = new Throwable[endpoints.size()];
    List<Thread> threads = new ArrayList<>();
    for (int i = 0; i < failures.length; i++) {
      int at = i;
      threads.add(Thread.ofVirtual().start(() -> failures[at] = refresh(endpoints.get(at))));
    }
    boolean interrupted = false;
    for (Thread thread : threads) {
      while (thread.isAlive()) { // each ends with its engine's timeout
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
    return Arrays.stream(failures).map(e -> e == null ? new IOException("no answer") : e).toList();
  }

  private static @Nullable Throwable refresh(Endpoint endpoint) {
    try {
      endpoint.refresh();
      return null;
    } catch (IOException | RuntimeException | Error e) {
      return e;
    }
  }

  private static RowEngine engine(String address, List<RowEngine> engines) {
    String scheme = address.substring(0, Math.max(0, address.indexOf("://")));
    List<String> known = new ArrayList<>();
    for (RowEngine engine : engines) {
      if (engine.schemes().contains(scheme)) {
        return engine;
      }
      known.addAll(engine.schemes());
    }
    throw new IllegalArgumentException(
        "nothing here takes the address "
            + Addresses.shown(address)
            + "; its scheme must be one of "
            + known);
  }

  /** Returns what is served just now. */
  public Manifest manifest() {
    return fleet.current().manifest();
  }

  /** Returns what each endpoint has done so far. */
  public List<EndpointStatistics> endpoints() {
    return fleet.endpoints().stream().map(Endpoint::statistics).toList();
  }

  /** Returns how often a second replica was asked, since the first was slow. */
  public long hedges() {
    return statistics.hedges();
  }

  /** Returns how many requests failed, whether another replica had the rows or not. */
  public long failures() {
    return statistics.failures();
  }

  @Override
  public List<Integer> layers() {
    return manifest().tables().stream().map(SlicedTable::layer).toList();
  }

  @Override
  public RemoteTable open(int layer) throws IOException {
    SlicedTable table;
    try {
      table = manifest().table(layer);
    } catch (IllegalArgumentException e) {
      throw new IOException(e.getMessage(), e);
    }
    String from =
        table.slices().size()
            + (table.slices().size() == 1 ? " slice" : " slices")
            + " of generation "
            + fleet.current().id().substring(0, 12)
            + " at "
            + String.join(", ", fleet.endpoints().stream().map(Endpoint::address).toList());
    return new RemoteTable(
        table.name(),
        table.type(),
        table.rows(),
        table.headDim(),
        table.factor(),
        new RemoteRows(table, fleet, pool, options, statistics),
        from);
  }

  @Override
  public void close() throws IOException {
    try {
      fleet.close();
    } finally {
      pool.close();
    }
  }
}
