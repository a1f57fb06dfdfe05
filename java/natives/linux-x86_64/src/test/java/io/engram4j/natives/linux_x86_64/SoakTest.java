package io.engram4j.natives.linux_x86_64;

import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.tck.Soak;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.atomic.LongAdder;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Half a minute of what {@code ci/soak} does for hours. */
class SoakTest {
  @TempDir Path directory;

  @Test
  void nothingWrongAndNothingLeft() throws IOException {
    long seed = System.nanoTime();
    Map<String, LongAdder> counts = Soak.run(Duration.ofSeconds(30), seed, directory, "cpu,java");
    System.out.println("soak, seed " + seed + ": " + counts);
    for (String done : new String[] {"cut short", "replaced", "refused", "killed while packing"}) {
      LongAdder times = counts.get(done);
      assertTrue(times != null && times.sum() > 0, done + " of " + counts);
    }
  }
}
