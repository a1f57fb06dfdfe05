package io.engram4j.bench.ratio;

import io.engram4j.Backends;
import io.engram4j.kernel.Backend;
import io.engram4j.model.LayerLayout;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * The Vector API beside the C kernels in several JVMs, one after the other: what a JVM compiles can
 * differ from start to start.
 */
public final class VectorStarts {
  private VectorStarts() {}

  /** In a JVM of its own: prints tokens and slowdown. Arguments: gigabytes, rounds. */
  public static void main(String[] args) {
    LayerLayout layout = Shapes.layout(Double.parseDouble(args[0]));
    MemorySegment data = Shapes.rows(layout.rows(), Shapes.HEAD_DIM, true);
    Map<String, Backend> backends = new LinkedHashMap<>();
    backends.put("cpu", Backends.named("cpu"));
    backends.put("vector", Backends.named("vector"));
    int rounds = Integer.parseInt(args[1]);
    LayerRaces races = new LayerRaces(new Report(), rounds, backends, "cpu", layout, data);
    for (int tokens : new int[] {1, 512}) {
      LayerRaces.Step step = races.new Step(tokens);
      Race race = new Race(rounds);
      backends.forEach((name, backend) ->
          race.add(name, step.units(), step::fresh, step.round(step.on(backend))));
      double slower = Race.Times.median(race.run().faster("cpu", "vector"));
      System.out.printf(Locale.ROOT, "slowdown %d %f%n", tokens, slower);
    }
  }

  /** Starts the JVMs and reports the worst of each. */
  static void run(Report report, double gigabytes, int rounds, int starts)
      throws IOException, InterruptedException {
    Map<Integer, List<Double>> slowdowns = new LinkedHashMap<>();
    for (int start = 0; start < starts; start++) {
      Process process = start(gigabytes, rounds);
      String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
      if (process.waitFor() != 0) {
        throw new IOException("a JVM with the vector backend failed: " + output);
      }
      for (String line : output.lines().filter(l -> l.startsWith("slowdown ")).toList()) {
        List<String> words = List.of(line.split(" ", -1));
        slowdowns
            .computeIfAbsent(Integer.valueOf(words.get(1)), t -> new ArrayList<>())
            .add(Double.valueOf(words.get(2)));
      }
    }
    slowdowns.forEach((tokens, all) -> {
      double[] each = all.stream().mapToDouble(d -> d).sorted().toArray();
      double[] worst = {each[each.length - 1]};
      System.err.printf("  vector slowdowns, T = %d: %s%n", tokens, all);
      report.atMost(
          "vector_slowdown_" + tokens,
          "Vector API / native, T = " + tokens + ", worst of " + starts + " starts",
          worst,
          1.6,
          1.3);
    });
  }

  private static Process start(double gigabytes, int rounds) throws IOException {
    List<String> command =
        List.of(
            System.getProperty("java.home") + "/bin/java",
            "--add-modules=jdk.incubator.vector",
            "--enable-native-access=ALL-UNNAMED",
            "-XX:+UseSerialGC",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            "-Dengram.bench.limits=" + System.getProperty("engram.bench.limits"),
            "-cp",
            System.getProperty("java.class.path"),
            VectorStarts.class.getName(),
            Double.toString(gigabytes),
            Integer.toString(rounds));
    return new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
  }
}
