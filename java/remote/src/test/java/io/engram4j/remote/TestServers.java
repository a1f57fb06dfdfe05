package io.engram4j.remote;

import io.engram4j.remote.Manifest.SlicedTable;
import io.engram4j.table.Table;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;

/** Servers in this process, whose faults a test chooses, under addresses such as test://a. */
final class TestServers implements RowEngine, AutoCloseable {
  private final Map<String, Server> servers = new ConcurrentHashMap<>();
  private final Arena arena = Arena.ofShared();

  /** What a server does with requests. */
  enum Mode {
    ANSWERS,
    /** Nobody listens; connections are lost. */
    DEAD,
    /** Takes requests and says nothing. */
    FROZEN
  }

  /** A server's state, which outlives its connections. */
  static final class Server {
    final AtomicLong messages = new AtomicLong();
    volatile Mode mode = Mode.ANSWERS;
    volatile long delayNanos;
    volatile Manifest manifest;
    volatile Map<String, Table> slices;
    private final Set<Connection> connections = ConcurrentHashMap.newKeySet();

    Server(Manifest manifest, Map<String, Table> slices) {
      this.manifest = manifest;
      this.slices = slices;
    }

    /** Ends what is under way, as a process that dies does. */
    void set(Mode now) {
      mode = now;
      if (now != Mode.FROZEN) {
        connections.forEach(connection -> connection.end(now == Mode.DEAD));
      }
    }
  }

  /** Puts a server there that has some slices of a directory, or all if none is named. */
  Server add(String address, Path directory, int... slices) throws IOException {
    Server server = new Server(Manifest.read(directory), load(directory, slices));
    servers.put(address, server);
    return server;
  }

  /** Reads slices. */
  Map<String, Table> load(Path directory, int... slices) throws IOException {
    Manifest manifest = Manifest.read(directory);
    Map<String, Table> tables = new ConcurrentHashMap<>();
    for (SlicedTable table : manifest.tables()) {
      for (int slice = 0; slice < table.slices().size(); slice++) {
        int own = slice;
        if (slices.length == 0 || java.util.Arrays.stream(slices).anyMatch(s -> s == own)) {
          tables.put(
              table.layer() + "/" + slice,
              Sharder.open(directory, manifest, table.layer(), slice).table().map(arena));
        }
      }
    }
    return tables;
  }

  @Override
  public List<String> schemes() {
    return List.of("test");
  }

  @Override
  public RowServer connect(String address, RemoteOptions options) throws IOException {
    Server server = servers.get(address);
    if (server == null || server.mode == Mode.DEAD) {
      throw new IOException(address + ": connection refused");
    }
    Connection connection = new Connection(server);
    server.connections.add(connection);
    return connection;
  }

  private static final class Connection implements RowServer {
    private final Server server;
    private final List<Fetch> held = new ArrayList<>();
    private volatile boolean lost;

    Connection(Server server) {
      this.server = server;
    }

    @Override
    public Manifest manifest() throws IOException {
      for (int i = 0; server.mode == Mode.FROZEN && !lost && i < 50; i++) {
        LockSupport.parkNanos(1_000_000);
      }
      if (lost || server.mode != Mode.ANSWERS) {
        throw new IOException("connection lost");
      }
      return server.manifest;
    }

    @Override
    public boolean serves(int layer, int slice) {
      return server.slices.containsKey(layer + "/" + slice);
    }

    @Override
    public void start(Fetches fetches) {
      server.messages.incrementAndGet();
      while (!fetches.isEmpty()) {
        start(fetches.remove());
      }
    }

    private void start(Fetch fetch) {
      synchronized (held) {
        if (server.mode == Mode.FROZEN && !lost) {
          held.add(fetch);
          return;
        }
      }
      if (lost || server.mode == Mode.DEAD) {
        fetch.failed(new IOException("connection reset"));
        return;
      }
      Thread.ofVirtual().start(() -> answer(fetch));
    }

    private void answer(Fetch fetch) {
      if (server.delayNanos > 0) {
        LockSupport.parkNanos(server.delayNanos);
      }
      Manifest now = server.manifest;
      if (lost) {
        fetch.failed(new IOException("connection reset"));
      } else if (!now.generation().equals(fetch.manifest().generation())) {
        fetch.failed(new IOException("generation " + now.generation() + " is served"));
      } else {
        String slice = fetch.table().layer() + "/" + fetch.slice();
        Table table = java.util.Objects.requireNonNull(server.slices.get(slice));
        long first = fetch.table().slices().get(fetch.slice()).first();
        long[] ids = new long[fetch.count()];
        for (int i = 0; i < ids.length; i++) {
          ids[i] = fetch.id(i) - first;
        }
        try (Arena own = Arena.ofConfined()) {
          MemorySegment local = own.allocateFrom(ValueLayout.JAVA_LONG, ids);
          table.read(local, ids.length, fetch.rows());
        }
        fetch.done();
      }
    }

    /** The process died, or it answers again. */
    void end(boolean died) {
      lost |= died;
      List<Fetch> some;
      synchronized (held) {
        some = new ArrayList<>(held);
        held.clear();
      }
      for (Fetch fetch : some) {
        Thread.ofVirtual().start(() -> answer(fetch));
      }
    }

    @Override
    public void close() {
      server.connections.remove(this);
      end(true);
    }
  }

  @Override
  public void close() {
    servers.values().forEach(server -> server.set(Mode.DEAD));
    LockSupport.parkNanos(50_000_000); // answers under way
    arena.close();
  }
}
