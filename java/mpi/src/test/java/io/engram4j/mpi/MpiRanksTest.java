package io.engram4j.mpi;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIf;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Real jobs of Open MPI and of MPICH, on this machine. */
@EnabledIf("areInstalled")
class MpiRanksTest {
  @TempDir private Path directory;

  /** What starts a job of either library. */
  enum Launcher {
    OPEN_MPI("mpirun.openmpi --allow-run-as-root --oversubscribe"),
    MPICH("mpirun.mpich");

    private final String command;

    Launcher(String command) {
      this.command = command;
    }

    private List<String> command() {
      return List.of(command.split(" "));
    }
  }

  /** Returns whether there are launchers: ci/install-tools.sh installs both. */
  static boolean areInstalled() {
    return Stream.of(Launcher.values()).allMatch(launcher -> onPath(launcher.command().getFirst()));
  }

  private static boolean onPath(String command) {
    return Stream.of(System.getenv().getOrDefault("PATH", "").split(":"))
        .anyMatch(folder -> Files.isExecutable(Path.of(folder, command)));
  }

  private Process start(Launcher launcher, int size, Path at, String what, int steps)
      throws IOException {
    Files.createDirectories(at);
    List<String> command = new ArrayList<>();
    if (size > 1) {
      command.addAll(launcher.command());
      command.addAll(List.of("-n", "" + size));
    }
    command.addAll(
        List.of(
            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "-XX:+UseSerialGC",
            "--add-modules=jdk.incubator.vector",
            "--enable-native-access=ALL-UNNAMED",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
            "-cp",
            System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")),
            MpiTraining.class.getName(),
            at.toString(),
            what,
            "" + steps));
    if (size == 1) {
      command.add("alone");
    }
    ProcessBuilder builder = new ProcessBuilder(command);
    Map<String, String> environment = builder.environment();
    environment.put("OMPI_ALLOW_RUN_AS_ROOT", "1");
    environment.put("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
    return builder
        .redirectError(at.resolve("error.txt").toFile())
        .redirectOutput(at.resolve("output.txt").toFile())
        .start();
  }

  private List<String> run(Launcher launcher, int size, Path at, String what, int steps)
      throws IOException, InterruptedException {
    Process job = start(launcher, size, at, what, steps);
    assertTrue(job.waitFor(120, TimeUnit.SECONDS), "the job hangs");
    assertEquals(0, job.exitValue(), Files.readString(at.resolve("error.txt")));
    return Files.readAllLines(at.resolve("output.txt"));
  }

  @ParameterizedTest
  @EnumSource(Launcher.class)
  void partsOfAllSizesArrive(Launcher launcher) throws IOException, InterruptedException {
    for (int size : new int[] {2, 4}) {
      Path at = directory.resolve("exchange-" + size);
      double ints = Double.parseDouble(run(launcher, size, at, "exchange", 300).getLast());
      assertTrue(ints > 300 * size * size * 500, ints + " ints");
    }
  }

  @ParameterizedTest
  @EnumSource(Launcher.class)
  void ranksTrainWhatOneProcessDoes(Launcher launcher) throws IOException, InterruptedException {
    List<String> one = run(launcher, 1, directory.resolve("one"), "train", 30);
    double first = Double.parseDouble(one.getFirst());
    assertTrue(Double.parseDouble(one.getLast()) < first - 0.1, "" + one);
    for (int size : new int[] {2, 4}) {
      for (String rows : List.of("train", "shared")) {
        List<String> all = run(launcher, size, directory.resolve(rows + size), rows, 30);
        assertEquals(30, all.size());
        double worst = 0;
        for (int i = 0; i < 30; i++) {
          double loss = Double.parseDouble(all.get(i));
          worst = Math.max(worst, Math.abs(loss - Double.parseDouble(one.get(i))));
        }
        System.out.printf("%s, %d ranks, %s: loss %.1g from one%n", launcher, size, rows, worst);
        assertEquals(first, Double.parseDouble(all.getFirst()), 1e-6);
        assertTrue(worst < (rows.equals("train") ? 0.02 : 0.1), size + " ranks: " + worst);
      }
    }
  }

  @ParameterizedTest
  @EnumSource(Launcher.class)
  void aKilledRankEndsTheJobWhichGoesOnToTheSameBits(Launcher launcher)
      throws IOException, InterruptedException {
    Path whole = directory.resolve("whole");
    run(launcher, 2, whole, "train", 200);
    Path killed = directory.resolve("killed");
    Process job = start(launcher, 2, killed, "train", 100_000);
    Path counted = killed.resolve("rank-0").resolve("checkpoint.bin");
    for (int i = 0; i < 600 && !Files.exists(counted); i++) {
      Thread.sleep(20);
    }
    List<ProcessHandle> ranks =
        job.descendants()
            .filter(each -> each.info().command().orElse("").endsWith("/java"))
            .toList();
    assertEquals(2, ranks.size());
    ranks.get(1).destroyForcibly();
    assertTrue(job.waitFor(20, TimeUnit.SECONDS), "the job hangs");
    assertNotEquals(0, job.exitValue());
    run(launcher, 2, killed, "train", 200);
    for (String file : new String[] {"dense-200.safetensors", "rows-0.bin", "rows-1.bin"}) {
      for (String rank : new String[] {"rank-0", "rank-1"}) {
        assertArrayEquals(
            Files.readAllBytes(whole.resolve(rank).resolve(file)),
            Files.readAllBytes(killed.resolve(rank).resolve(file)),
            rank + " " + file);
      }
    }
  }

  @ParameterizedTest
  @EnumSource(Launcher.class)
  void aRankThatDoesNotComeEndsTheJob(Launcher launcher) throws IOException, InterruptedException {
    Process job = start(launcher, 2, directory, "stay", 1);
    assertTrue(job.waitFor(40, TimeUnit.SECONDS), "the job hangs");
    assertNotEquals(0, job.exitValue());
    assertTrue(Files.readString(directory.resolve("error.txt")).length() > 0);
  }

  @ParameterizedTest
  @EnumSource(Launcher.class)
  void nullPointersStayExceptions(Launcher launcher) throws IOException, InterruptedException {
    assertEquals("20000", run(launcher, 2, directory, "null", 20_000).getLast());
  }

  @Test
  void withoutALauncherThereAreNoRanks() {
    String said =
        assertThrows(IllegalStateException.class, () -> MpiRanks.join(Duration.ofSeconds(1)))
            .toString();
    assertTrue(said.contains("mpirun"), said);
  }
}
