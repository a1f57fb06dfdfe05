package io.engram4j.natives.linux_x86_64;

import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.tck.Kills;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.atomic.LongAdder;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Some of what {@code ci/kills} does a thousand times. */
class KillsTest {
  @TempDir Path directory;

  @Test
  void theNextStartIsRight() throws IOException {
    long seed = System.nanoTime();
    Map<String, LongAdder> counts = Kills.run(24, seed, directory);
    System.out.println("kills, seed " + seed + ": " + counts);
    for (String work : new String[] {"pack", "load", "attach", "save"}) {
      LongAdder times = counts.get("killed at " + work);
      assertTrue(times != null && times.sum() == 6, counts.toString());
    }
  }
}
