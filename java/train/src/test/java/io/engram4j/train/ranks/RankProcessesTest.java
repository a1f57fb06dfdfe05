package io.engram4j.train.ranks;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.train.RankedTraining;
import io.engram4j.train.Trainer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Ranks that are processes: what they train, and what is left when they are killed. */
class RankProcessesTest {
  private static final int STEPS = 48;

  @TempDir private Path directory;

  private static Process start(Path directory, int rank, int size, String rows, int steps)
      throws IOException {
    Files.createDirectories(directory);
    return new ProcessBuilder(
            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "-XX:+UseSerialGC",
            "--add-modules=jdk.incubator.vector",
            "--enable-native-access=ALL-UNNAMED",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
            "-cp",
            System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")),
            RankedTraining.class.getName(),
            directory.toString(),
            "" + rank,
            "" + size,
            rows,
            "" + steps)
        .redirectError(error(directory, rank).toFile())
        .redirectOutput(directory.resolve("losses-" + rank + ".txt").toFile())
        .start();
  }

  private static Path error(Path directory, int rank) {
    return directory.resolve("error-" + rank + ".txt");
  }

  private static List<Process> start(Path directory, int size, String rows, int steps)
      throws IOException {
    List<Process> ranks = new ArrayList<>();
    for (int rank = size - 1; rank >= 0; rank--) { // the first one last, for whom all wait
      ranks.addFirst(start(directory, rank, size, rows, steps));
    }
    return ranks;
  }

  private static List<Double> train(Path directory, int size, String rows, int steps)
      throws IOException, InterruptedException {
    List<Process> ranks = start(directory, size, rows, steps);
    for (int rank = 0; rank < size; rank++) {
      assertTrue(ranks.get(rank).waitFor(120, TimeUnit.SECONDS), "rank " + rank + " hangs");
      String error = Files.readString(error(directory, rank));
      assertEquals(0, ranks.get(rank).exitValue(), error);
    }
    return losses(directory);
  }

  private static List<Double> losses(Path directory) throws IOException {
    return Files.readAllLines(directory.resolve("losses-0.txt")).stream()
        .map(Double::valueOf)
        .toList();
  }

  private static double last(List<Double> losses) {
    return losses.subList(losses.size() - 8, losses.size()).stream()
        .mapToDouble(loss -> loss)
        .average()
        .orElseThrow();
  }

  @Test
  void ranksThatShareATableLearnAsMuchAsOneProcess() throws IOException, InterruptedException {
    List<Double> one = train(directory.resolve("one"), 1, "owned", STEPS);
    assertEquals(STEPS, one.size());
    for (int size : new int[] {2, 4}) {
      List<Double> shared = train(directory.resolve("shared-" + size), size, "shared", STEPS);
      List<Double> owned = train(directory.resolve("owned-" + size), size, "owned", STEPS);
      assertEquals(STEPS, shared.size());
      System.out.printf(
          "%d processes: loss %.3f sharing tables, %.3f owning rows, %.3f one process%n",
          size, last(shared), last(owned), last(one));
      assertTrue(last(shared) < last(one) + 0.1, shared + " and " + one);
      assertEquals(last(one), last(owned), 0.05);
    }
    assertTrue(last(one) < one.getFirst() - 0.4, "" + one);
  }

  @Test
  void aRankThatIsKilledStopsAllAndTheyGoOnToTheSameBits()
      throws IOException, InterruptedException {
    Path whole = directory.resolve("whole");
    train(whole, 2, "owned", STEPS);
    Path killed = directory.resolve("killed");
    SplittableRandom random = new SplittableRandom(System.nanoTime());
    int kills = 0;
    while (true) {
      List<Process> ranks = start(killed, 2, "owned", STEPS);
      Process victim = ranks.get(random.nextInt(2));
      if (victim.waitFor(700 + 100L * kills + random.nextInt(500), TimeUnit.MILLISECONDS)) {
        for (int rank = 0; rank < 2; rank++) {
          assertTrue(ranks.get(rank).waitFor(30, TimeUnit.SECONDS), "rank " + rank + " hangs");
          assertEquals(0, ranks.get(rank).exitValue(), Files.readString(error(killed, rank)));
        }
        break;
      }
      victim.destroyForcibly().waitFor();
      for (Process rank : ranks) {
        // one that had not seen the other come waits for it as long as it is told to
        if (!rank.waitFor(1500, TimeUnit.MILLISECONDS)) {
          rank.destroyForcibly().waitFor();
        }
      }
      kills++;
      assertTrue(kills < 100, "killed too early 100 times");
    }
    assertTrue(kills > 2, kills + " kills");
    for (int rank = 0; rank < 2; rank++) {
      Path own = killed.resolve("rank-" + rank);
      assertEquals(STEPS, Trainer.lastStep(own));
      for (String file : new String[] {"dense-" + STEPS + ".safetensors", "rows-0.bin"}) {
        assertArrayEquals(
            Files.readAllBytes(whole.resolve("rank-" + rank).resolve(file)),
            Files.readAllBytes(own.resolve(file)),
            file);
      }
    }
  }

  @Test
  void sharedTablesOfKilledRanksGoOn() throws IOException, InterruptedException {
    Path killed = directory.resolve("killed");
    List<Process> ranks = start(killed, 2, "shared", 100_000);
    for (int i = 0; i < 600 && Trainer.lastStep(killed.resolve("rank-0")) < 40; i++) {
      Thread.sleep(50);
    }
    ranks.get(1).destroyForcibly().waitFor();
    assertTrue(ranks.get(0).waitFor(10, TimeUnit.SECONDS), "rank 0 hangs");
    String error = Files.readString(error(killed, 0));
    assertTrue(error.contains("rank 1 has left or died"), error);
    int before = (int) Trainer.lastStep(killed.resolve("rank-0"));
    List<Double> rest = train(killed, 2, "shared", before + 8);
    assertEquals(8, rest.size());
    assertTrue(rest.getFirst() < 4.0, "" + rest); // from 4.11, where one begins
  }
}
