package io.engram4j.cli;

import io.engram4j.Backends;
import io.engram4j.tck.FaultRun;
import io.engram4j.tck.Kills;
import io.engram4j.tck.Misuse;
import io.engram4j.tck.Soak;
import io.engram4j.tck.TemporaryDirectory;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.LongAdder;

/**
 * What {@code ci/soak}, {@code ci/misuse}, {@code ci/faults} and {@code ci/kills} run, with the
 * name of one of them and its arguments. No command of users.
 */
public final class LongRun {
  private LongRun() {}

  /** Runs, prints what was done, and ends with an exception if anything went wrong. */
  public static void main(String[] args) throws IOException {
    String kind = args[0];
    String amount = args.length > 1 ? args[1] : defaultAmount(kind);
    long seed = args.length > 2 ? Long.parseLong(args[2]) : System.nanoTime();
    String backends = args.length > 3 ? args[3] : Backends.select().name() + ",java";
    try (TemporaryDirectory work = TemporaryDirectory.make("engram4j-" + kind + "-")) {
      System.out.printf(
          "%s %s with %s, seed %d, in %s%n", kind, amount, backends, seed, work.path());
      if (kind.equals("faults")) {
        faults(Integer.parseInt(amount), seed, backends, work.path());
      } else {
        counted(kind, Double.parseDouble(amount), seed, backends, work.path());
      }
    }
  }

  private static String defaultAmount(String kind) {
    return switch (kind) {
      case "faults" -> "1";
      case "kills" -> "100";
      default -> "2";
    };
  }

  private static void faults(int every, long seed, String backends, Path work) throws IOException {
    List<String> names = List.of(backends.split(",", -1));
    long faults = FaultRun.run(every, seed, names, work, System.out::println);
    System.out.printf("%,d faults, nothing wrong, nothing left%n", faults);
  }

  private static void counted(String kind, double amount, long seed, String backends, Path work)
      throws IOException {
    Duration duration = Duration.ofMillis((long) (amount * 60_000)); // where it is a time
    Map<String, LongAdder> counts =
        switch (kind) {
          case "soak" -> Soak.run(duration, seed, work, backends);
          case "misuse" ->
              Misuse.run(duration, seed, work, backends, List.of(TokenizerMisuse::open));
          case "kills" -> Kills.run((int) amount, seed, work);
          default -> throw new IllegalArgumentException("there is no run " + kind);
        };
    counts.entrySet().stream()
        .sorted(Map.Entry.comparingByKey())
        .forEach(each -> System.out.printf("%-42s %,14d%n", each.getKey(), each.getValue().sum()));
    System.out.println("nothing wrong, nothing left");
  }
}
