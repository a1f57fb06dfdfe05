package io.engram4j.packaging;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIf;
import org.junit.jupiter.api.io.TempDir;

/**
 * Linux on AArch64, from Java: the jars as users get them, on a Java for that platform which
 * qemu-user runs. ci/jdk-aarch64 fetches one.
 */
@EnabledIf("hasJava")
final class EmulatedArmTest {
  private static final String PLATFORM = "linux-aarch_64";

  /** For each stage; elsewhere 500, which would take too long under an emulator. */
  private static final int CASES = 12;

  @TempDir Path directory;

  private static Path root() {
    String cache = System.getenv("XDG_CACHE_HOME");
    Path home = Path.of(System.getProperty("user.home"), ".cache");
    Path caches = cache == null || cache.isEmpty() ? home : Path.of(cache);
    return caches.resolve("engram4j/jdk-aarch_64");
  }

  private static Path java() {
    return root().resolve("usr/lib/jvm/java-25-openjdk-arm64/bin/java");
  }

  static boolean hasJava() {
    return Files.isExecutable(java()) && Artifacts.crossPlatforms().contains(PLATFORM);
  }

  /** Returns the user's jars, with the natives of that platform alone. */
  private static String classPath(String... more) {
    List<String> jars =
        Artifacts.classPath().stream()
            .filter(jar -> !jar.getFileName().toString().contains("-natives-"))
            .map(Path::toString)
            .collect(Collectors.toCollection(ArrayList::new));
    jars.add(Artifacts.nativesJar(PLATFORM).toString());
    jars.addAll(List.of(more));
    return String.join(File.pathSeparator, jars);
  }

  private Artifacts.Result run(String classPath, String... arguments)
      throws IOException, InterruptedException {
    List<String> command =
        new ArrayList<>(
            List.of(
                "qemu-aarch64",
                "-L",
                root().toString(),
                java().toString(),
                "-XX:TieredStopAtLevel=1", // C2's code is not worth its time under an emulator
                "-XX:+UseSerialGC",
                "-Xmx1g",
                "-Dengram.tck.cases=" + CASES,
                "-Duser.home=" + directory, // nothing of this machine's
                "--enable-native-access=ALL-UNNAMED",
                "-cp",
                classPath));
    command.addAll(List.of(arguments));
    return Artifacts.run(directory, Map.of("XDG_CACHE_HOME", directory.toString()), command);
  }

  private static String requireGood(Artifacts.Result result, String... parts) {
    assertEquals(0, result.exit(), result.out());
    for (String part : parts) {
      assertTrue(result.out().contains(part), result.out());
    }
    return result.out();
  }

  @Test
  void theJarsConformAndTheCommandWorks() throws Exception {
    String model =
        Artifacts.ROOT
            .resolve("java/tck/src/main/resources/io/engram4j/tck/golden/mini-v41")
            .toString();
    Path text = Files.writeString(directory.resolve("text.txt"), "Call me Ishmael.");
    String main = "io.engram4j.cli.Main";
    String tests = Path.of("target", "test-classes").toAbsolutePath().toString();
    Callable<Artifacts.Result> conformance =
        () -> run(classPath(tests), EmulatedRun.class.getName(), "neon", "neon_bf16");
    Callable<Artifacts.Result> doctor = () -> run(classPath(), main, "doctor");
    Callable<Artifacts.Result> verify = () -> run(classPath(), main, "verify", model);
    Callable<Artifacts.Result> runs =
        () -> run(classPath(), main, "run", model, "--file", text.toString(), "--json");
    List<Future<Artifacts.Result>> results;
    try (ExecutorService two = Executors.newFixedThreadPool(2)) {
      results = two.invokeAll(List.of(conformance, doctor, verify, runs));
    }
    String out = requireGood(results.get(0).get(), "tier neon under", "tier neon_bf16 under");
    String lines =
        out.lines()
            .filter(line -> line.startsWith("conformance of "))
            .collect(Collectors.joining("\n", "", "\n"));
    Path counts = Files.createDirectories(Path.of("target", "case-counts"));
    Files.writeString(counts.resolve("conformance-cpu-neon.txt"), lines);
    System.out.print(lines);
    requireGood(results.get(1).get(), "aarch64", "tier neon");
    requireGood(results.get(2).get(), "tier neon", "all pass");
    requireGood(results.get(3).get(), "\"digest\"", "\"tokens\"");
  }
}
