package io.engram4j.bench.guard;

import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/**
 * {@code ci/bench-guard}: two JVMs, one with the kernels of another commit, take turns case by case
 * and round by round, so that a noisy machine is noisy for both.
 */
public final class GuardRace {
  private static final int WARM_ROUNDS = 25;

  private GuardRace() {}

  /** A JVM that runs {@link GuardCases}. */
  private static final class Side implements AutoCloseable {
    final Process process;
    final BufferedReader out;
    final BufferedWriter in;
    final List<String> names = new ArrayList<>();

    /** Starts the cases with the kernels of a class path. */
    Side(String classPath, List<String> tiers) throws IOException {
      List<String> command =
          new ArrayList<>(
              List.of(
                  Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                  "--add-modules",
                  "jdk.incubator.vector",
                  "--enable-native-access=ALL-UNNAMED",
                  "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
                  "-cp",
                  classPath,
                  GuardCases.class.getName()));
      command.addAll(tiers);
      process = new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
      out = process.inputReader(StandardCharsets.UTF_8);
      in = process.outputWriter(StandardCharsets.UTF_8);
      for (String line = read(); !line.isEmpty(); line = read()) {
        names.add(line);
      }
    }

    private String read() throws IOException {
      String line = out.readLine();
      if (line == null) {
        throw new IOException("a side ended; what it needs may have another name there");
      }
      return line;
    }

    double nanos(String name) throws IOException {
      in.write(name + "\n");
      in.flush();
      return Double.parseDouble(read());
    }

    @Override
    public void close() {
      process.destroy();
    }
  }

  /**
   * Races.
   *
   * @param args rounds, the class path before, the one now, tiers
   */
  public static void main(String[] args) throws IOException {
    int rounds = Integer.parseInt(args[0]);
    List<String> tiers = Arrays.asList(args).subList(3, args.length);
    try (Side before = new Side(args[1], tiers);
        Side now = new Side(args[2], tiers)) {
      System.out.printf(
          "%-32s %10s %10s  %s%n", "case (tokens, tier)", "before", "now", "now / before");
      int slower = 0;
      for (String name : now.names) {
        if (before.names.contains(name)) {
          slower += race(name, rounds, before, now) ? 1 : 0;
        }
      }
      System.out.println(
          slower == 0
              ? "No case is slower in three quarters of its rounds by 3 % or more."
              : slower + " cases are slower by 3 % or more in three quarters of their rounds.");
    }
  }

  /** Returns whether most rounds were slower. */
  private static boolean race(String name, int rounds, Side before, Side now) throws IOException {
    for (int i = 0; i < WARM_ROUNDS; i++) {
      before.nanos(name);
      now.nanos(name);
    }
    double[] ratios = new double[rounds];
    double[] first = new double[rounds];
    double[] second = new double[rounds];
    for (int i = 0; i < rounds; i++) {
      if (i % 2 == 0) {
        first[i] = before.nanos(name);
        second[i] = now.nanos(name);
      } else {
        second[i] = now.nanos(name);
        first[i] = before.nanos(name);
      }
      ratios[i] = second[i] / first[i];
    }
    Arrays.sort(ratios);
    Arrays.sort(first);
    Arrays.sort(second);
    boolean slower = ratios[rounds / 4] > 1.03;
    System.out.printf(
        Locale.ROOT,
        "%-32s %7.2f us %7.2f us  %.3f (%.3f to %.3f)%s%n",
        name,
        first[rounds / 2] / 1e3,
        second[rounds / 2] / 1e3,
        ratios[rounds / 2],
        ratios[rounds / 4],
        ratios[rounds - 1 - rounds / 4],
        slower ? "  slower" : "");
    return slower;
  }
}
