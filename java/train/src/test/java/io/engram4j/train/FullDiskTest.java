package io.engram4j.train;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A file system that fills up at every point of a checkpoint; {@link FullDiskTraining} does it. */
class FullDiskTest {
  private static final String MOUNT =
      "mount -t tmpfs -o size=24m none \"$1\" || { echo no mounts; exit 0; }; shift; exec \"$@\"";

  @TempDir private Path directory;

  @Test
  void aDiskThatIsFullAmidACheckpoint() throws Exception {
    Path output = directory.resolve("output.txt");
    Path mount = Files.createDirectory(directory.resolve("mount"));
    List<String> command =
        List.of(
            "unshare",
            "--mount",
            "--map-root-user",
            "sh",
            "-c",
            MOUNT,
            "sh",
            mount.toString(),
            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "--add-modules=jdk.incubator.vector",
            "--enable-native-access=ALL-UNNAMED",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
            "-cp",
            System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")),
            FullDiskTraining.class.getName(),
            mount.toString());
    try {
      Process process =
          new ProcessBuilder(command)
              .redirectErrorStream(true)
              .redirectOutput(output.toFile())
              .start();
      assertTrue(process.waitFor(180, TimeUnit.SECONDS), "it hangs");
    } catch (IOException e) {
      Files.writeString(output, "no mounts: " + e);
    }
    String out = Files.readString(output);
    if (out.contains("no mounts") || out.startsWith("unshare:")) {
      System.out.println("nothing can be mounted here, so no disk was full: " + out);
    } else {
      System.out.print(out);
      assertTrue(out.contains("nothing was lost"), out);
    }
  }
}
