package io.engram4j.valkey;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** A real server on loopback, which a test kills, freezes and starts again. */
final class RedisProcess implements AutoCloseable {
  private final Path directory;
  private final int port;
  private final List<String> options;
  private Process process;

  private RedisProcess(Path directory, int port, List<String> options) throws IOException {
    this.directory = directory;
    this.port = port;
    this.options = options;
    this.process = launch();
  }

  /** Returns whether there is a server to start: ci/install-tools.sh installs one. */
  static boolean isInstalled() {
    try {
      return new ProcessBuilder("redis-server", "--version").start().waitFor() == 0;
    } catch (IOException e) {
      return false;
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }

  /** Starts one that keeps what it has in a directory. */
  static RedisProcess start(Path directory, String... options) throws Exception {
    Files.createDirectories(directory);
    RedisProcess redis = new RedisProcess(directory, freePort(), List.of(options));
    redis.await();
    return redis;
  }

  static int freePort() throws IOException {
    while (true) {
      try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
        if (socket.getLocalPort() < 55_000) { // a cluster's bus is 10,000 above
          return socket.getLocalPort();
        }
      }
    }
  }

  /** Starts it again. */
  void start() throws Exception {
    process = launch();
    await();
  }

  private Process launch() throws IOException {
    List<String> command = new ArrayList<>(List.of("redis-server"));
    boolean tls = options.contains("--tls-cert-file");
    command.addAll(List.of(tls ? "--tls-port" : "--port", "" + port));
    if (tls) {
      command.addAll(List.of("--port", "0"));
    }
    command.addAll(List.of("--bind", "127.0.0.1", "--dir", directory.toString(), "--save", ""));
    command.addAll(options);
    return new ProcessBuilder(command)
        .redirectErrorStream(true)
        .redirectOutput(ProcessBuilder.Redirect.appendTo(directory.resolve("log.txt").toFile()))
        .start();
  }

  private void await() throws Exception {
    for (int i = 0; i < 1000 && !listens(); i++) {
      if (!process.isAlive()) {
        throw new IOException(Files.readString(directory.resolve("log.txt")));
      }
      Thread.sleep(10);
    }
  }

  private boolean listens() {
    try (Socket socket = new Socket()) {
      socket.connect(new InetSocketAddress(InetAddress.getLoopbackAddress(), port), 1000);
      return true;
    } catch (IOException e) {
      return false;
    }
  }

  int port() {
    return port;
  }

  String address() {
    return "redis://127.0.0.1:" + port;
  }

  /** Runs redis-cli, and returns what it says. */
  String cli(String... arguments) throws Exception {
    List<String> command = new ArrayList<>(List.of("redis-cli", "-p", "" + port));
    command.addAll(List.of(arguments));
    Process cli = new ProcessBuilder(command).redirectErrorStream(true).start();
    String said = new String(cli.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    cli.waitFor();
    return said;
  }

  void kill() {
    process.destroyForcibly().onExit().join();
  }

  void signal(String name) throws Exception {
    new ProcessBuilder("kill", "-" + name, "" + process.pid()).start().waitFor();
  }

  @Override
  public void close() {
    kill();
  }
}
