package io.engram4j.packaging;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIf;
import org.junit.jupiter.api.io.TempDir;

/** The command with a Java of its own, as a container would run it. */
final class ContainerTest {
  @TempDir Path directory;

  static boolean canUnshare() throws InterruptedException {
    try {
      return !Artifacts.ownPlatform().isEmpty()
          && new ProcessBuilder("unshare", "--mount", "--pid", "--fork", "true").start().waitFor()
              == 0;
    } catch (IOException e) {
      return false; // there is no such command
    }
  }

  @Test
  @EnabledIf("canUnshare")
  void theImageRunsWithAReadOnlyRootAndNoUser() throws IOException, InterruptedException {
    Path jar =
        Artifacts.ROOT.resolve("java/cli/target/engram4j-cli-" + Artifacts.VERSION + "-all.jar");
    Artifacts.Result result =
        Artifacts.run(
            directory,
            Map.of("JAVA_HOME", System.getProperty("java.home")),
            List.of(Artifacts.ROOT.resolve("ci/container/check").toString(), jar.toString()));
    assertEquals(0, result.exit(), result.out());
    assertTrue(result.out().contains("engram verify /models/mini-v41: all pass"), result.out());
  }
}
