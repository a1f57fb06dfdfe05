package io.engram4j.vector;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.Backends;
import io.engram4j.kernel.Backend;
import io.engram4j.tck.Conformance;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

class VectorConformanceTest {
  @Test
  void conforms() throws IOException {
    Backend backend = Backends.named("vector");
    Conformance.Report report = Conformance.of(backend).run();
    String line = "conformance of vector, seed " + report.seed() + ", " + report.cases();
    Path counts = Files.createDirectories(Path.of("target", "case-counts"));
    Files.writeString(
        counts.resolve("conformance-vector.txt"), line + ", cases: " + report.total() + "\n");
    report.requirePassed();
    assertTrue(report.total() > 2000, "too few cases: " + report);
  }

  /** With the module on the path it goes before plain Java. */
  @Test
  void isChosen() {
    assertEquals("vector", Backends.select().name());
    assertTrue(Backends.select().description().startsWith("Vector API, "));
  }
}
