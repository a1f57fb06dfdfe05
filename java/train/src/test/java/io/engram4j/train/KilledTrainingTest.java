package io.engram4j.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Training that is killed again and again ends at the same bits as training that is not. */
class KilledTrainingTest {
  @TempDir private Path directory;

  private static Process start(Path directory) throws IOException {
    return new ProcessBuilder(
            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "--add-modules=jdk.incubator.vector",
            "--enable-native-access=ALL-UNNAMED",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
            "-cp",
            System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")),
            KillableTraining.class.getName(),
            directory.toString())
        .redirectErrorStream(true)
        .redirectOutput(directory.resolve("output.txt").toFile())
        .start();
  }

  @Test
  void killsLeaveACheckpointAndTheSameBits() throws IOException, InterruptedException {
    Path whole = Files.createDirectory(directory.resolve("whole"));
    Process once = start(whole);
    assertTrue(once.waitFor(120, TimeUnit.SECONDS));
    assertEquals(0, once.exitValue(), Files.readString(whole.resolve("output.txt")));

    Path killed = Files.createDirectory(directory.resolve("killed"));
    SplittableRandom random = new SplittableRandom(System.nanoTime());
    int kills = 0;
    boolean finished = false;
    while (!finished) {
      long before = Trainer.lastStep(killed);
      Process process = start(killed);
      // longer each time, so that it ends on a slow machine too
      finished = process.waitFor(400 + 30L * kills + random.nextInt(600), TimeUnit.MILLISECONDS);
      if (!finished) {
        process.destroyForcibly().waitFor();
        kills++;
      } else {
        assertEquals(0, process.exitValue(), Files.readString(killed.resolve("output.txt")));
      }
      assertTrue(Trainer.lastStep(killed) >= before, "a checkpoint was lost");
      assertTrue(kills < 200, "killed too early 200 times");
    }
    assertTrue(kills > 3, kills + " kills");
    assertEquals(KillableTraining.STEPS, Trainer.lastStep(killed));
    for (String file :
        new String[] {"dense-" + KillableTraining.STEPS + ".safetensors", "rows-0.bin"}) {
      assertArrayEquals(
          Files.readAllBytes(whole.resolve(file)), Files.readAllBytes(killed.resolve(file)), file);
    }
  }
}
