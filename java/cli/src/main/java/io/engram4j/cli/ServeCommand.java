package io.engram4j.cli;

import io.engram4j.remote.wire.SliceServer;
import io.engram4j.table.Placement;
import io.engram4j.table.TableOptions;
import java.io.IOException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Serves slices to other machines until it is ended. */
@Command(
    name = "serve",
    header = "Serve slices of a model's tables to other machines.",
    description =
        "Runs until it is ended. Rows go to whoever asks, and nothing is enciphered: for networks"
            + " whose machines trust each other. ?key=FILE in the address keeps apart what was"
            + " connected by mistake.")
final class ServeCommand implements Callable<Integer> {
  @Mixin Output output = new Output();

  @Parameters(
      arity = "1..*",
      paramLabel = "SLICE",
      description = "Files that engram shard made, or their directory for all of them.")
  List<Path> slices = List.of();

  @Option(
      names = "--listen",
      required = true,
      paramLabel = "ADDRESS",
      description =
          "ucx://INTERFACE:PORT or engram://INTERFACE:PORT (sockets); an interface, a name or an"
              + " address of this machine. Port 0 takes a free one.")
  String listen = "";

  @Option(
      names = "--all-interfaces",
      description = "Listen at 0.0.0.0 or [::], if the address is that.")
  boolean all;

  @Option(
      names = "--placement",
      paramLabel = "P",
      defaultValue = "auto",
      description =
          "Where rows are held: mapped, resident, shared, pinned, streamed or auto (default"
              + " ${DEFAULT-VALUE}).")
  String placement = "auto";

  @Option(
      names = "--cache-mb",
      paramLabel = "MB",
      description = "Memory for rows of each streamed slice that were read lately.")
  long cacheMegabytes;

  @Option(
      names = "--threads",
      paramLabel = "N",
      description = "Threads that gather what is large (default: the number of cores).")
  int threads = Runtime.getRuntime().availableProcessors();

  @Override
  public Integer call() throws IOException, InterruptedException {
    if (threads < 1) {
      throw new IllegalArgumentException("--threads must be at least 1");
    }
    TableOptions options =
        TableOptions.defaults()
            .placement(Placement.named(placement))
            .cacheBytes(Math.multiplyExact(cacheMegabytes, 1L << 20));
    CountDownLatch ended = new CountDownLatch(1);
    CountDownLatch closed = new CountDownLatch(1);
    Thread onSignal =
        new Thread(() -> {
          ended.countDown();
          try {
            closed.await();
          } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
          }
        });
    try (SliceServer server = SliceServer.open(slices, options, threads)) {
      int port = server.listen(listen, all);
      Runtime.getRuntime().addShutdownHook(onSignal);
      output.line("serving %s at %s, port %d", server.describe(), listen, port);
      Map<String, Object> json = new LinkedHashMap<>();
      json.put("listen", listen);
      json.put("port", port);
      json.put("serving", server.describe());
      output.json(json);
      ended.await();
      System.err.printf("served %,d rows in %,d requests%n", server.rows(), server.requests());
    } finally {
      closed.countDown();
    }
    return 0;
  }
}
