package io.engram4j.natives.linux_x86_64;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.tck.FaultRun;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Some of the faults of {@code ci/faults}, in a process of its own: the library can be loaded by
 * one class loader alone.
 */
class FaultTest {
  /** The process. */
  static final class Main {
    private Main() {}

    public static void main(String[] args) throws IOException {
      long seed = System.nanoTime();
      System.out.println("seed " + seed);
      Path work = Path.of(args[0]);
      long faults = FaultRun.run(10, seed, List.of("cpu", "java"), work, System.out::println);
      System.out.println(faults + " faults");
    }
  }

  @Test
  void nothingIsHalfDone(@TempDir Path work) throws IOException, InterruptedException {
    Process process =
        new ProcessBuilder(
                System.getProperty("java.home") + "/bin/java",
                "-Xmx512m",
                "--enable-native-access=ALL-UNNAMED",
                "-cp",
                System.getProperty("java.class.path"),
                Main.class.getName(),
                work.toString())
            .redirectErrorStream(true)
            .start();
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertEquals(0, process.waitFor(), output);
    String last = output.strip().substring(output.strip().lastIndexOf('\n') + 1);
    assertTrue(Integer.parseInt(last.replace(" faults", "")) > 500, output);
    Files.writeString(Path.of("target", "faults.txt"), output);
  }
}
