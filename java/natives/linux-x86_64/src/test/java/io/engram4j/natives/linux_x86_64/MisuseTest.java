package io.engram4j.natives.linux_x86_64;

import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.tck.Misuse;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.LongAdder;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Half a minute of what {@code ci/misuse} does for longer. */
class MisuseTest {
  @TempDir Path directory;

  @Test
  void nothingButExceptions() throws IOException {
    long seed = System.nanoTime();
    Map<String, LongAdder> counts =
        Misuse.run(Duration.ofSeconds(30), seed, directory, "cpu,java", List.of());
    System.out.println("misuse, seed " + seed + ": " + counts);
    LongAdder kept = counts.get("kept the rules");
    assertTrue(kept != null && kept.sum() > 10, counts.toString());
    assertTrue(counts.size() > 40, counts.toString()); // kinds, and what came of them
  }
}
