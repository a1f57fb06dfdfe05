package io.engram4j.cli;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/** Runs the command as a process of its own, as people do. */
final class Cli {
  private Cli() {}

  /** What a run printed and how it ended. */
  record Result(int exit, String out, String err) {}

  static Result run(String... arguments) throws IOException {
    return run(Map.of(), "", arguments);
  }

  /**
   * Runs the command.
   *
   * @param environment variables to set
   * @param limit a shell command to run first, such as ulimit, or nothing
   */
  static Result run(Map<String, String> environment, String limit, String... arguments)
      throws IOException {
    List<String> java = new ArrayList<>();
    java.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    java.addAll(List.of("--enable-native-access=ALL-UNNAMED", "-XX:+UseSerialGC", "-Xshare:auto"));
    java.addAll(List.of("-cp", System.getProperty("java.class.path"), Main.class.getName()));
    java.addAll(Arrays.asList(arguments));
    return process(environment, limit, java);
  }

  static Result process(Map<String, String> environment, String limit, List<String> command)
      throws IOException {
    List<String> whole = new ArrayList<>(command);
    if (!limit.isEmpty()) {
      whole.addAll(0, List.of("sh", "-c", limit + "; exec \"$@\"", "sh"));
    }
    Path out = java.nio.file.Files.createTempFile("engram", ".out");
    Path err = java.nio.file.Files.createTempFile("engram", ".err");
    try {
      ProcessBuilder builder = new ProcessBuilder(whole);
      builder.environment().putAll(environment);
      builder.redirectOutput(out.toFile()).redirectError(err.toFile());
      Process process = builder.start();
      process.getOutputStream().close();
      if (!process.waitFor(5, TimeUnit.MINUTES)) {
        process.destroyForcibly();
        throw new IOException("hangs: " + command);
      }
      return new Result(
          process.exitValue(),
          java.nio.file.Files.readString(out),
          java.nio.file.Files.readString(err));
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException(e);
    } finally {
      java.nio.file.Files.delete(out);
      java.nio.file.Files.delete(err);
    }
  }
}
