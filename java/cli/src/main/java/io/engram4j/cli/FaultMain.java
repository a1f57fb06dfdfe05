package io.engram4j.cli;

import io.engram4j.Backends;
import io.engram4j.tck.FaultRun;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** What {@code ci/faults} runs: {@code [EVERY [SEED [BACKENDS]]]}. No command of users. */
public final class FaultMain {
  private FaultMain() {}

  /** Runs, prints how far it is, and ends with an exception if anything went wrong. */
  public static void main(String[] args) throws IOException {
    int every = args.length > 0 ? Integer.parseInt(args[0]) : 1;
    long seed = args.length > 1 ? Long.parseLong(args[1]) : System.nanoTime();
    String backends = args.length > 2 ? args[2] : Backends.select().name() + ",java";
    Path work = Files.createTempDirectory("engram4j-faults-");
    System.out.printf("one place of %d, with %s, seed %d, in %s%n", every, backends, seed, work);
    List<String> names = List.of(backends.split(",", -1));
    long faults = FaultRun.run(every, seed, names, work, System.out::println);
    System.out.printf("%,d faults, nothing wrong, nothing left%n", faults);
  }
}
