package io.engram4j.cli;

import io.engram4j.Backends;
import io.engram4j.tck.Soak;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Comparator;
import java.util.Map;
import java.util.concurrent.atomic.LongAdder;
import java.util.stream.Stream;

/** What {@code ci/soak} runs: {@code [MINUTES [SEED [BACKENDS]]]}. No command of users. */
public final class SoakMain {
  private SoakMain() {}

  /** Runs, prints what was done, and ends with an exception if anything went wrong. */
  public static void main(String[] args) throws IOException {
    double minutes = Double.parseDouble(args.length > 0 ? args[0] : "2");
    long seed = args.length > 1 ? Long.parseLong(args[1]) : System.nanoTime();
    String backends = args.length > 2 ? args[2] : Backends.select().name() + ",java";
    Path work = Files.createTempDirectory("engram4j-soak-");
    System.out.printf("%s minutes with %s, seed %d, in %s%n", minutes, backends, seed, work);
    Duration duration = Duration.ofMillis((long) (minutes * 60_000));
    for (Map.Entry<String, LongAdder> entry :
        Soak.run(duration, seed, work, backends).entrySet().stream()
            .sorted(Map.Entry.comparingByKey())
            .toList()) {
      System.out.printf("%-24s %,14d%n", entry.getKey(), entry.getValue().sum());
    }
    System.out.println("nothing wrong, nothing left");
    try (Stream<Path> all = Files.walk(work)) {
      for (Path file : all.sorted(Comparator.reverseOrder()).toList()) {
        Files.delete(file);
      }
    }
  }
}
