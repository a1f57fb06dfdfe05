package io.engram4j.tck;

import io.engram4j.EngramModel;
import io.engram4j.EngramSequence;
import io.engram4j.hf.EngramDirectory;
import io.engram4j.table.Placement;
import io.engram4j.table.TableOptions;
import io.engram4j.table.io.TableFile;
import java.io.BufferedReader;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileTime;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.LongAdder;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.Stream;

/**
 * Kills processes with SIGKILL while they pack, load, attach and save. What they leave must open as
 * one whole thing or be refused with an {@link IOException}; the next one to do the work comes to
 * its end, with the right rows and nothing left over.
 *
 * <p>{@code ci/kills} runs it.
 */
public final class Kills {
  private static final int TOKENS = 50;
  private static final int MOST_MILLIS = 600; // the first round of a process takes some 300

  private final Path first;
  private final Path second;
  private final SoakTruth ofFirst;
  private final SoakTruth ofSecond;
  private final SplittableRandom random;
  private final Map<String, LongAdder> counts = new ConcurrentHashMap<>();

  private Kills(Path work, long seed) throws IOException {
    random = new SplittableRandom(seed);
    Golden.extract(work.resolve("first"));
    Golden.extract(work.resolve("second"));
    first = work.resolve("first").resolve("mini-v41");
    second = work.resolve("second").resolve("mini-v41");
    rotateRows(second);
    ofFirst = SoakTruth.of(first);
    ofSecond = SoakTruth.of(second);
  }

  /** Gives each row of a model to the next row id. */
  private static void rotateRows(Path model) throws IOException {
    EngramDirectory directory = EngramDirectory.read(model);
    for (int layer : directory.config().layerIds()) {
      TableFile table = directory.tableFile(layer);
      TableFile.Region region = table.weight();
      byte[] rows = new byte[Math.toIntExact(table.rows() * region.bytes())];
      try (FileChannel file =
          FileChannel.open(region.file(), StandardOpenOption.READ, StandardOpenOption.WRITE)) {
        read(file, ByteBuffer.wrap(rows), region.offset());
        byte[] last = Arrays.copyOfRange(rows, rows.length - region.bytes(), rows.length);
        System.arraycopy(rows, 0, rows, region.bytes(), rows.length - region.bytes());
        System.arraycopy(last, 0, rows, 0, last.length);
        file.write(ByteBuffer.wrap(rows), region.offset());
      }
    }
  }

  private static void read(FileChannel file, ByteBuffer into, long from) throws IOException {
    while (into.hasRemaining()) {
      if (file.read(into, from + into.position()) < 0) {
        throw new IOException("a shard ends too early");
      }
    }
  }

  /**
   * Runs.
   *
   * @param kills how many
   * @param seed what is done and when it is killed; where it is then, nobody can say
   * @param work an empty directory
   * @return how often each thing was killed, and what was found after it
   * @throws IOException with what went wrong first
   */
  public static Map<String, LongAdder> run(int kills, long seed, Path work) throws IOException {
    Kills all = new Kills(work, seed);
    KillTarget.Work[] works = KillTarget.Work.values();
    for (int i = 0; i < kills; i++) {
      KillTarget.Work kind = works[i % works.length];
      Path target = Files.createDirectories(work.resolve("target"));
      try {
        all.one(kind, target);
      } catch (IOException | RuntimeException e) {
        throw new IOException("seed " + seed + ", kill " + i + " (" + kind + "): " + e, e);
      }
      if (all.random.nextBoolean()) { // else the next one finds what this one made
        TemporaryDirectory.delete(target);
      }
    }
    return all.counts;
  }

  private void one(KillTarget.Work kind, Path target) throws IOException {
    KillTarget own = new KillTarget(first, second, target);
    killed(kind, target);
    count("killed at " + kind);
    age(target);
    switch (kind) {
      case PACK -> {
        count(kind + " left " + found(own.packed(), TableOptions.defaults()));
        own.pack(second);
        check(own.packed(), TableOptions.defaults(), ofSecond);
      }
      case LOAD, ATTACH -> {
        check(first, own.options(Placement.SHARED), ofFirst);
        check(second, own.options(Placement.SHARED), ofSecond);
      }
      case SAVE -> {
        own.checkSaved(1);
        own.save(2);
        if (!own.checkSaved(2)) {
          throw new IOException("what was saved is not there");
        }
      }
    }
    requireNothingLeft(target);
  }

  private void killed(KillTarget.Work kind, Path target) throws IOException {
    Process process =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-XX:TieredStopAtLevel=1",
                "-XX:+UseSerialGC",
                "-Dorg.slf4j.simpleLogger.defaultLogLevel=off",
                "-cp",
                System.getProperty("java.class.path"),
                KillTarget.class.getName(),
                kind.name(),
                first.toString(),
                second.toString(),
                target.toString())
            .redirectErrorStream(true)
            .start();
    try (BufferedReader out = process.inputReader(StandardCharsets.UTF_8)) {
      List<String> before = new ArrayList<>(); // what a JVM says of its options
      for (String line = out.readLine(); !"ready".equals(line); line = out.readLine()) {
        if (line == null) {
          throw new IOException("it does not begin: " + String.join("\n", before));
        }
        before.add(line);
      }
      LockSupport.parkNanos(1_000_000L * random.nextInt(MOST_MILLIS));
      if (!process.isAlive()) {
        throw new IOException("it ended by itself: " + String.join("\n", rest(out)));
      }
    } finally {
      process.destroyForcibly();
      boolean ended = false;
      while (!ended) {
        try {
          process.waitFor();
          ended = true;
        } catch (InterruptedException e) {
          Thread.interrupted(); // it is as good as dead
        }
      }
    }
  }

  private static List<String> rest(BufferedReader out) {
    return out.lines().limit(20).toList();
  }

  private void count(String what) {
    counts.computeIfAbsent(what, key -> new LongAdder()).increment();
  }

  /** Returns what a directory is that somebody was writing. */
  private String found(Path directory, TableOptions options) throws IOException {
    try {
      KillTarget.open(directory, options).close();
    } catch (IOException e) {
      return "nothing that opens";
    }
    try {
      check(directory, options, ofFirst);
      return "the first model";
    } catch (IOException e) {
      check(directory, options, ofSecond);
      return "the second model";
    }
  }

  private static void check(Path directory, TableOptions options, SoakTruth truth)
      throws IOException {
    try (EngramModel model = KillTarget.open(directory, options)) {
      EngramSequence sequence = model.newSequence();
      truth.append(sequence, TOKENS);
      for (int layer = 0; layer < model.layers().size(); layer++) {
        float[] stream = new float[TOKENS * model.config().streamWidth()];
        Arrays.fill(stream, SoakTruth.START);
        model.layers().get(layer).apply(sequence, TOKENS, stream);
        truth.checkStream(layer, 0, stream);
      }
    }
  }

  /** Whoever writes next deletes temporary files that are an hour old. */
  private static void age(Path target) throws IOException {
    FileTime old = FileTime.from(Instant.now().minus(2, ChronoUnit.HOURS));
    try (Stream<Path> all = Files.walk(target)) {
      for (Path file : all.filter(each -> each.toString().endsWith(".tmp")).toList()) {
        Files.setLastModifiedTime(file, old);
      }
    }
  }

  private static void requireNothingLeft(Path target) throws IOException {
    try (Stream<Path> all = Files.walk(target)) {
      List<Path> left =
          all.filter(file -> file.toString().matches(".*\\.(tmp|part|journal)")).toList();
      if (!left.isEmpty()) {
        throw new IOException("left behind: " + left);
      }
    }
  }
}
