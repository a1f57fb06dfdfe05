package io.engram4j.cli;

import java.util.ArrayList;
import java.util.List;
import picocli.CommandLine.Command;
import picocli.CommandLine.Unmatched;

/**
 * {@code engram bench}: the launcher of a source tree runs it itself, since it brings other
 * libraries to compare with; this is what the jar says.
 */
@Command(
    name = "bench",
    header = "Measure every stage beside its limit and its rivals (source tree only).")
final class BenchCommand implements java.util.concurrent.Callable<Integer> {
  @Unmatched private List<String> arguments = new ArrayList<>();

  @Override
  public Integer call() {
    String wanted = String.join(" ", arguments);
    throw new IllegalArgumentException(
        "bench needs a source tree: run './engram bench"
            + (" " + wanted).stripTrailing()
            + "' there");
  }
}
