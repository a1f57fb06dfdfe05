package io.engram4j.packaging;

import io.engram4j.Backends;
import io.engram4j.cpu.CpuProvider;
import io.engram4j.kernel.Backend;
import io.engram4j.tck.Conformance;
import java.io.IOException;

/** What a Java under an emulator runs: the conformance suite, of the C kernels. */
final class EmulatedRun {
  private EmulatedRun() {}

  /** Prints what the suite ran at each of some tiers, and ends with an error if anything failed. */
  public static void main(String[] args) throws IOException {
    for (String tier : args) {
      System.setProperty(CpuProvider.MAX_TIER, tier);
      Backend backend = Backends.named("cpu");
      Conformance.Report report = Conformance.of(backend).run();
      System.out.printf(
          "conformance of %s under %s %s, seed %d, %s, cases: %d%n",
          backend.description().replaceFirst(", ABI.*", ""),
          System.getProperty("os.name"),
          System.getProperty("os.arch"),
          report.seed(),
          report.cases(),
          report.total());
      report.requirePassed();
    }
  }
}
