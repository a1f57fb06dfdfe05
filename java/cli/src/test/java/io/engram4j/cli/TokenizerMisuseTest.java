package io.engram4j.cli;

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

/** A few seconds of what {@code ci/misuse} does to tokenizers. */
class TokenizerMisuseTest {
  @TempDir Path directory;

  @Test
  void nothingButExceptions() throws IOException {
    Duration duration = Duration.ofSeconds(8);
    List<Misuse.Target.Opener> targets = List.of(TokenizerMisuse::open);
    Map<String, LongAdder> counts = Misuse.run(duration, 24, directory, "java", targets);
    LongAdder kept = counts.get("kept the rules");
    assertTrue(kept != null && kept.sum() > 10, counts.toString());
    assertTrue(counts.containsKey("21 IllegalArgumentException"), counts.toString());
  }
}
