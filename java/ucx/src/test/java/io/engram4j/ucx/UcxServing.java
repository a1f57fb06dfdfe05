package io.engram4j.ucx;

import io.engram4j.remote.RemoteOptions;
import io.engram4j.remote.SlicedTables;
import io.engram4j.remote.wire.SliceServer;
import io.engram4j.table.Placement;
import io.engram4j.table.RemoteTables;
import io.engram4j.table.TableOptions;
import java.io.File;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/** A real process that serves slices, which a test kills, freezes and starts again. */
final class UcxServing {
  private List<Path> slices;
  private final List<String> prefix;
  private final Map<String, String> environment;
  private final Path output;
  private final String host;
  private int port;
  private Process process;

  /** Serves until its input ends: {@code SLICES ADDRESS PORT-FILE}; or reads of an address. */
  public static void main(String[] args) throws IOException {
    if (args[0].equals("read")) {
      read(args[1], Path.of(args[2]));
      return;
    }
    TableOptions options = TableOptions.defaults().placement(Placement.MAPPED);
    List<Path> slices = Stream.of(args[0].split(File.pathSeparator)).map(Path::of).toList();
    try (SliceServer server = SliceServer.open(slices, options, 2)) {
      int port = server.listen(args[1], false);
      Path part = Path.of(args[2] + ".part");
      Files.writeString(part, "" + port);
      Files.move(part, Path.of(args[2]));
      while (System.in.read() >= 0) {}
    }
  }

  /** Reads large batches again and again; says when it has begun. */
  private static void read(String address, Path begun) throws IOException {
    try (SlicedTables tables = SlicedTables.connect(address, RemoteOptions.defaults());
        Arena arena = Arena.ofShared()) {
      RemoteTables.RemoteTable table = tables.open(1);
      int count = 49_152;
      MemorySegment ids = arena.allocate(8L * count, 8);
      for (int i = 0; i < count; i++) {
        ids.setAtIndex(ValueLayout.JAVA_LONG, i, i % table.rows());
      }
      MemorySegment rows = arena.allocate(count * table.type().rowBytes(table.headDim()));
      for (int i = 0; true; i++) {
        table.source().read(ids, count, rows);
        if (i == 3) {
          Files.writeString(begun, "0");
        }
      }
    }
  }

  private UcxServing(
      List<Path> slices,
      String host,
      Path output,
      List<String> prefix,
      Map<String, String> environment)
      throws IOException {
    this.slices = slices;
    this.host = host;
    this.output = output;
    this.prefix = prefix;
    this.environment = environment;
    this.process = launch();
  }

  static UcxServing start(Path slices, Path output) throws Exception {
    return start(List.of(slices), output);
  }

  /** Starts one with some slices of a directory. */
  static UcxServing start(List<Path> slices, Path output) throws Exception {
    UcxServing serving = new UcxServing(slices, "127.0.0.1", output, List.of(), Map.of());
    serving.await();
    return serving;
  }

  /**
   * Starts one.
   *
   * @param prefix of its command, such as another namespace
   */
  static UcxServing start(
      Path slices, String host, Path output, List<String> prefix, Map<String, String> environment)
      throws Exception {
    UcxServing serving = new UcxServing(List.of(slices), host, output, prefix, environment);
    serving.await();
    return serving;
  }

  /** Starts a process that reads; returns when it does. */
  static UcxServing client(String address, Path output) throws Exception {
    List<Path> none = List.of(Path.of("read"));
    UcxServing client = new UcxServing(none, address, output, List.of(), Map.of());
    client.await();
    return client;
  }

  private Process launch() throws IOException {
    Files.deleteIfExists(portFile());
    List<String> command = new ArrayList<>(prefix);
    command.addAll(
        List.of(
            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "--enable-native-access=ALL-UNNAMED",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-cp",
            System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")),
            UcxServing.class.getName(),
            String.join(File.pathSeparator, slices.stream().map(Path::toString).toList()),
            host.contains("://") ? host : "ucx://" + host + ":" + port,
            portFile().toString()));
    ProcessBuilder builder = new ProcessBuilder(command);
    builder.environment().putAll(environment);
    return builder
        .redirectErrorStream(true)
        .redirectOutput(ProcessBuilder.Redirect.appendTo(output.toFile()))
        .start();
  }

  private Path portFile() {
    return output.resolveSibling(output.getFileName() + ".port");
  }

  private void await() throws Exception {
    for (int i = 0; i < 3000 && process.isAlive(); i++) {
      if (Files.exists(portFile())) {
        port = Integer.parseInt(Files.readString(portFile()));
        return;
      }
      Thread.sleep(10);
    }
    throw new IllegalStateException("it does not serve: " + Files.readString(output));
  }

  String address() {
    return "ucx://" + host + ":" + port;
  }

  void kill() throws InterruptedException {
    process.destroyForcibly().waitFor();
  }

  /** Starts it again, at the port that it had. */
  void restart() throws Exception {
    process = launch();
    await();
  }

  /** Starts it again with other slices, at the port that it had. */
  void restart(List<Path> others) throws Exception {
    slices = others;
    restart();
  }

  void signal(String name) throws Exception {
    int exit = new ProcessBuilder("kill", "-" + name, "" + process.pid()).start().waitFor();
    if (exit != 0) {
      throw new IllegalStateException("kill -" + name);
    }
  }

  void close() throws InterruptedException {
    process.destroyForcibly();
    process.waitFor(10, TimeUnit.SECONDS);
  }
}
