package io.engram4j.tck;

import io.engram4j.Backends;
import io.engram4j.hf.DirectoryPacker;
import io.engram4j.hf.EngramDirectory;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.LongAdder;
import java.util.stream.Stream;

/**
 * A model that is used and mistreated for as long as one likes: threads open it in every placement,
 * serve, fork, truncate and close, while files are cut short and replaced and other processes are
 * killed. Every row that comes back is checked, and at the end nothing may be left behind.
 *
 * <p>{@code ci/soak MINUTES} runs it.
 */
public final class Soak {
  private static final int THREADS = 3;

  private final Path work;
  private final long end;
  private final Map<String, LongAdder> counts = new ConcurrentHashMap<>();
  private final SoakTruth truth;
  private final String backends;
  private final long files; // that were open at the start

  private Soak(Path work, Duration duration, String backends) throws IOException {
    this.work = work;
    this.backends = backends;
    Golden.extract(work.resolve("golden"));
    this.truth = SoakTruth.of(source());
    this.files = openFiles();
    this.end = System.nanoTime() + duration.toNanos(); // the truth takes its own time
  }

  /**
   * Runs.
   *
   * @param seed what happens in each thread; when, nobody can say
   * @param work an empty directory
   * @param backends names of backends, which threads take in turns
   * @return how often each thing was done
   * @throws IOException with what went wrong first
   */
  public static Map<String, LongAdder> run(Duration duration, long seed, Path work, String backends)
      throws IOException {
    Soak soak = new Soak(work, duration, backends);
    ExecutorService threads = Executors.newFixedThreadPool(THREADS);
    List<Future<?>> all = new ArrayList<>();
    try {
      SplittableRandom random = new SplittableRandom(seed);
      for (int i = 0; i < THREADS; i++) {
        SoakUser user = new SoakUser(soak, work.resolve("user" + i), random.split());
        all.add(threads.submit(user));
      }
      for (Future<?> one : all) {
        one.get();
      }
    } catch (ExecutionException e) {
      throw new IOException("seed " + seed + ": " + e.getCause(), e.getCause());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted", e);
    } finally {
      threads.shutdownNow();
    }
    soak.requireNothingLeft();
    return soak.counts;
  }

  SoakTruth truth() {
    return truth;
  }

  Path source() {
    return work.resolve("golden").resolve("mini-v41");
  }

  Path shared() throws IOException {
    return Files.createDirectories(work.resolve("shared"));
  }

  String[] backends() {
    return backends.split(",");
  }

  boolean isOver() {
    return System.nanoTime() > end;
  }

  void count(String what, long more) {
    counts.computeIfAbsent(what, key -> new LongAdder()).add(more);
  }

  /** Returns the files that this process has open, or 0 where nobody tells. */
  private static long openFiles() throws IOException {
    Path files = Path.of("/proc/self/fd");
    if (!Files.isDirectory(files)) {
      return 0;
    }
    try (Stream<Path> all = Files.list(files)) {
      return all.count();
    }
  }

  private void requireNothingLeft() throws IOException {
    long now = openFiles();
    if (now > files + 20) { // a few are the JVM's own, for classes that came later
      throw new IOException(now + " files are open, and were " + files + " at the start");
    }
    try (Stream<Path> all = Files.walk(work)) {
      List<Path> left =
          all.filter(file -> file.toString().matches(".*\\.(tmp|part|journal)")).toList();
      if (!left.isEmpty()) {
        throw new IOException("left behind: " + left);
      }
    }
  }

  /**
   * {@code Soak MINUTES [SEED [BACKENDS]]}, or, in a process that is to be killed, {@code Soak pack
   * FROM TO}.
   */
  public static void main(String[] args) throws IOException {
    if (args.length == 3 && args[0].equals("pack")) {
      new DirectoryPacker(EngramDirectory.read(Path.of(args[1])), Path.of(args[2]), 1, n -> {})
          .pack();
      return;
    }
    double minutes = Double.parseDouble(args.length > 0 ? args[0] : "2");
    long seed = args.length > 1 ? Long.parseLong(args[1]) : System.nanoTime();
    String backends = args.length > 2 ? args[2] : Backends.select().name() + ",java";
    Path work = Files.createTempDirectory("engram4j-soak-");
    System.out.printf("%s minutes with %s, seed %d, in %s%n", minutes, backends, seed, work);
    Map<String, LongAdder> counts =
        run(Duration.ofMillis((long) (minutes * 60_000)), seed, work, backends);
    counts.entrySet().stream()
        .sorted(Map.Entry.comparingByKey())
        .forEach(
            entry -> System.out.printf("%-32s %,12d%n", entry.getKey(), entry.getValue().sum()));
    System.out.println("nothing wrong, nothing left");
    try (Stream<Path> all = Files.walk(work)) {
      for (Path file : all.sorted(java.util.Comparator.reverseOrder()).toList()) {
        Files.delete(file);
      }
    }
  }
}
