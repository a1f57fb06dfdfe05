package io.engram4j.bench;

import io.engram4j.remote.Manifest;
import io.engram4j.remote.Manifest.Slice;
import io.engram4j.remote.Manifest.SlicedTable;
import io.engram4j.remote.RemoteOptions;
import io.engram4j.remote.RowEngine;
import io.engram4j.remote.SlicedTables;
import io.engram4j.table.RemoteTables.RemoteTable;
import io.engram4j.table.RowSource;
import io.engram4j.table.Table;
import io.engram4j.table.io.PackedFile;
import io.engram4j.table.io.TableFile;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.ServiceLoader;
import java.util.SplittableRandom;
import java.util.function.Supplier;

/**
 * Batches of random rows from another process, beside the local table and beside an echo over
 * loopback that sends as many bytes back and looks nothing up; in turns.
 */
final class RemoteRace {
  private static final int[] SIZES = {48, 1536, 49_152};
  private static final int TOKENS = 5000; // a turn
  private static final int REQUEST = 8; // bytes of a row id

  private RemoteRace() {}

  /** Describes tables, a slice each. */
  static Manifest manifest(List<TableFile> files, List<Integer> layers) throws IOException {
    List<SlicedTable> tables = new ArrayList<>();
    for (int i = 0; i < files.size(); i++) {
      TableFile file = files.get(i);
      Slice all = new Slice(0, file.rows(), PackedFile.digest(file, 2, bytes -> {}));
      tables.add(
          new SlicedTable(
              layers.get(i),
              file.name(),
              file.type(),
              file.rows(),
              file.headDim(),
              file.factor(),
              List.of(all)));
    }
    return new Manifest("bench", "1", tables, List.of());
  }

  /** Loads tables into an engine, and connects to them. */
  static SlicedTables load(String address, Manifest manifest, List<TableFile> files)
      throws IOException {
    Map<Integer, Table> mapped = new LinkedHashMap<>();
    for (int i = 0; i < files.size(); i++) {
      mapped.put(manifest.tables().get(i).layer(), files.get(i).map(Arena.global()));
    }
    RowEngine engine =
        ServiceLoader.load(RowEngine.class).stream()
            .map(ServiceLoader.Provider::get)
            .filter(e -> e.schemes().contains(address.substring(0, address.indexOf(':'))))
            .findFirst()
            .orElseThrow();
    long began = System.nanoTime();
    engine.load(
        address,
        manifest,
        (table, first, count, to) -> {
          long[] ids = new long[count];
          java.util.Arrays.setAll(ids, i -> first + i);
          Objects.requireNonNull(mapped.get(table.layer()))
              .read(MemorySegment.ofArray(ids), count, to);
        },
        2,
        bytes -> {});
    System.out.printf(
        Locale.ROOT,
        "loaded %.2f GB at %.2f GB/s%n",
        manifest.bytes() / 1e9,
        manifest.bytes() / (double) (System.nanoTime() - began));
    return SlicedTables.connect(address, RemoteOptions.defaults());
  }

  /** Runs it, and prints a table. */
  static void run(
      SlicedTables tables, TableFile file, int layer, int rounds, Supplier<Duration> serverCpu)
      throws IOException {
    RowSource remote = tables.open(layer).source();
    Table local = file.map(Arena.global());
    int rowBytes = file.rowBytes();
    System.out.printf(
        Locale.ROOT,
        "%n%-8s %-8s %10s %12s %8s%n",
        "rows",
        "from",
        "median us",
        "M rows/s",
        "echo");
    try (Echo echo = new Echo(rowBytes);
        Arena arena = Arena.ofShared()) {
      for (int size : SIZES) {
        int repeats = rounds * Math.max(1, 20_000 / size);
        MemorySegment ids = arena.allocate(8L * size, 64);
        MemorySegment to = arena.allocate((long) size * rowBytes, 64);
        MemorySegment same = arena.allocate((long) size * rowBytes, 64);
        Map<String, List<Double>> times = new LinkedHashMap<>();
        SplittableRandom random = new SplittableRandom(size);
        Duration cpu = serverCpu.get();
        int warmup = Math.max(repeats / 4, 1_000_000 / size);
        for (int i = -warmup; i < repeats; i++) {
          cpu = i == 0 ? serverCpu.get() : cpu; // what is compiled at first is not counted
          for (int j = 0; j < size; j++) {
            ids.setAtIndex(ValueLayout.JAVA_LONG, j, random.nextLong(file.rows()));
          }
          add(times, i, "echo", () -> echo.fetch(size));
          add(times, i, "local", () -> local.read(ids, size, same));
          add(times, i, "remote", () -> remote.read(ids, size, to));
          if (to.mismatch(same) >= 0) {
            throw new IllegalStateException("other rows than the file has");
          }
        }
        double ofServer = serverCpu.get().minus(cpu).toNanos();
        if (ofServer > 0) {
          System.out.printf(
              Locale.ROOT,
              "%-8d server: %.0f ns of CPU a row%n",
              size,
              ofServer / ((double) repeats * size));
        }
        double ofEcho = median(times, "echo");
        times.forEach((name, all) -> {
          double us = median(times, name);
          System.out.printf(
              Locale.ROOT,
              "%-8d %-8s %10.1f %12.2f %8.2f%n",
              size,
              name,
              us,
              size / us,
              us / ofEcho);
        });
      }
    }
  }

  /**
   * What a token takes that wants rows of two tables: asked for one table after the other, and
   * together. In turns of some thousand tokens.
   */
  static void tokens(
      SlicedTables tables, List<Integer> layers, int rounds, Supplier<Duration> serverCpu)
      throws IOException {
    int columns = SIZES[0] / 2;
    RemoteTable one = tables.open(layers.get(0));
    RemoteTable other = tables.open(layers.get(1));
    long rows = Math.min(one.rows(), other.rows());
    Map<String, List<Double>> times = new LinkedHashMap<>();
    RowSource.Round round = Objects.requireNonNull(one.source().group()).newRound();
    Map<String, List<Double>> cpu = new LinkedHashMap<>();
    SplittableRandom random = new SplittableRandom(5);
    try (Arena arena = Arena.ofShared()) {
      MemorySegment ids = arena.allocate(8L * columns, 64);
      long rowBytes = one.type().rowBytes(one.headDim());
      MemorySegment to = arena.allocate(columns * rowBytes, 64);
      MemorySegment too = arena.allocate(columns * rowBytes, 64);
      for (int turn = -1; turn < rounds; turn++) {
        for (boolean together : new boolean[] {false, true}) {
          Duration before = serverCpu.get();
          long began = System.nanoTime();
          for (int token = 0; token < TOKENS; token++) {
            for (int j = 0; j < columns; j++) {
              ids.setAtIndex(ValueLayout.JAVA_LONG, j, random.nextLong(rows));
            }
            RowSource.Reading first = one.source().begin(ids, columns, to, round);
            if (!together) {
              first.end();
            }
            RowSource.Reading second = other.source().begin(ids, columns, too, round);
            if (together) {
              first.end();
            }
            second.end();
          }
          if (turn >= 0) {
            String name = together ? "together" : "apart";
            double us = (System.nanoTime() - began) / 1e3 / TOKENS;
            double ofServer = serverCpu.get().minus(before).toNanos() / 1e3 / TOKENS;
            times.computeIfAbsent(name, n -> new ArrayList<>()).add(us);
            cpu.computeIfAbsent(name, n -> new ArrayList<>()).add(ofServer);
          }
        }
      }
    }
    times
        .keySet()
        .forEach(name ->
            System.out.printf(
                Locale.ROOT,
                "a token, %d rows of each of two tables, %-8s: %6.1f us, server's CPU %5.1f us%n",
                columns,
                name,
                median(times, name),
                median(cpu, name)));
  }

  private static double median(Map<String, List<Double>> times, String name) {
    return DecodeLoop.median(Objects.requireNonNull(times.get(name)));
  }

  private static void add(Map<String, List<Double>> times, int round, String name, Runnable run) {
    long began = System.nanoTime();
    run.run();
    double us = (System.nanoTime() - began) / 1e3;
    if (round >= 0) {
      times.computeIfAbsent(name, n -> new ArrayList<>()).add(us);
    }
  }

  /** Takes row ids and gives as many rows' bytes, the same each time. */
  private static final class Echo implements AutoCloseable {
    private final ServerSocket listener;
    private final Socket socket;
    private final int rowBytes;
    private final byte[] request = new byte[REQUEST * 65_536];
    private byte[] reply = new byte[0];

    Echo(int rowBytes) throws IOException {
      this.rowBytes = rowBytes;
      this.listener = new ServerSocket(0, 1, InetAddress.getLoopbackAddress());
      Thread.ofPlatform().daemon().start(this::serve);
      this.socket = new Socket(listener.getInetAddress(), listener.getLocalPort());
      socket.setTcpNoDelay(true);
    }

    private void serve() {
      try (Socket one = listener.accept()) {
        one.setTcpNoDelay(true);
        InputStream in = one.getInputStream();
        OutputStream out = one.getOutputStream();
        byte[] rows = new byte[65_536 * rowBytes];
        byte[] some = new byte[REQUEST * 65_536];
        for (int got = in.read(some); got > 0; got = in.read(some)) {
          int whole = got; // ids come in any pieces; each asks for a row
          while (whole % REQUEST != 0) {
            whole += in.read(some, whole, REQUEST - whole % REQUEST);
          }
          out.write(rows, 0, whole / REQUEST * rowBytes);
        }
      } catch (IOException e) {
        return; // the race is over
      }
    }

    void fetch(int size) {
      if (reply.length < size * rowBytes) {
        reply = new byte[size * rowBytes];
      }
      try {
        OutputStream out = socket.getOutputStream();
        // the reply is read while the request goes out, else both sides could wait to write
        int step = 4096;
        for (int from = 0; from < size; from += step) {
          int some = Math.min(step, size - from);
          out.write(request, 0, some * REQUEST);
          if (socket.getInputStream().readNBytes(reply, from * rowBytes, some * rowBytes)
              < some * rowBytes) {
            throw new IOException("the echo ended");
          }
        }
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }

    @Override
    public void close() throws IOException {
      socket.close();
      listener.close();
    }
  }
}
