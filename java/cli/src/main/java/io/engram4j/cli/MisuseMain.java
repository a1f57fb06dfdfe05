package io.engram4j.cli;

import io.engram4j.Backends;
import io.engram4j.tck.Misuse;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.atomic.LongAdder;

/** What {@code ci/misuse} runs: {@code [MINUTES [SEED [BACKENDS]]]}. No command of users. */
public final class MisuseMain {
  private MisuseMain() {}

  /** Runs, prints what was done, and ends with an exception if anything went wrong. */
  public static void main(String[] args) throws IOException {
    double minutes = Double.parseDouble(args.length > 0 ? args[0] : "2");
    long seed = args.length > 1 ? Long.parseLong(args[1]) : System.nanoTime();
    String backends = args.length > 2 ? args[2] : Backends.select().name() + ",java";
    Path work = Files.createTempDirectory("engram4j-misuse-");
    System.out.printf("%s minutes with %s, seed %d, in %s%n", minutes, backends, seed, work);
    Duration duration = Duration.ofMillis((long) (minutes * 60_000));
    long all = 0;
    for (Map.Entry<String, LongAdder> entry :
        Misuse.run(duration, seed, work, backends).entrySet().stream()
            .sorted(Map.Entry.comparingByKey())
            .toList()) {
      all += entry.getValue().sum();
      System.out.printf("%-42s %,12d%n", entry.getKey(), entry.getValue().sum());
    }
    System.out.printf("%,d in all, nothing but exceptions%n", all);
    System.exit(0); // tasks that were forgotten wait in no thread
  }
}
