package io.engram4j.bench;

import io.engram4j.remote.Manifest;
import io.engram4j.remote.Sharder;
import io.engram4j.remote.wire.SliceServer;
import io.engram4j.table.Placement;
import io.engram4j.table.TableOptions;
import io.engram4j.table.io.Packer;
import io.engram4j.table.io.TableFile;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;

/** A process that serves slices, as {@code engram serve} does. */
final class SliceProcess implements AutoCloseable {
  private final Process process;
  private final String address;

  private SliceProcess(Process process, String address) {
    this.process = process;
    this.address = address;
  }

  /** Serves until its input ends: {@code DIRECTORY ADDRESS}. */
  public static void main(String[] args) throws IOException {
    TableOptions options = TableOptions.defaults().placement(Placement.RESIDENT);
    try (SliceServer server = SliceServer.open(List.of(Path.of(args[0])), options, 2)) {
      System.out.println(server.listen(args[1], false));
      while (System.in.read() >= 0) {}
    }
  }

  /** Writes tables as slices, if they are not there, and starts a process that serves them. */
  static SliceProcess start(String scheme, Path directory, Manifest manifest, List<TableFile> files)
      throws IOException {
    Path slices = Files.createDirectories(directory.resolve("slices"));
    for (int i = 0; i < files.size(); i++) {
      Path file = Sharder.file(slices, manifest.tables().get(i).layer(), 0);
      Packer.pack(files.get(i), file, 2, bytes -> {});
    }
    manifest.write(slices.resolve(Manifest.NAME));
    Process process =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED",
                "-XX:+UseSerialGC",
                "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
                "-cp",
                System.getProperty("java.class.path"),
                SliceProcess.class.getName(),
                slices.toString(),
                scheme + "://127.0.0.1:0")
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    BufferedReader out =
        new BufferedReader(new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8));
    return new SliceProcess(process, scheme + "://127.0.0.1:" + out.readLine());
  }

  String address() {
    return address;
  }

  /** Returns how long it has computed. */
  Duration cpu() {
    return process.info().totalCpuDuration().orElse(Duration.ZERO);
  }

  @Override
  public void close() throws IOException {
    process.getOutputStream().close();
    try {
      process.waitFor();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
