package io.engram4j.tck;

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
  private volatile boolean failed;
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

  String[] backends() {
    return backends.split(",");
  }

  boolean isOver() {
    return failed || System.nanoTime() > end;
  }

  /** Ends the others, too. */
  void fail() {
    failed = true;
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

  /** {@code Soak FROM TO} packs a model, in a process that is to be killed. */
  public static void main(String[] args) throws IOException {
    EngramDirectory from = EngramDirectory.read(Path.of(args[0]));
    new DirectoryPacker(from, Path.of(args[1]), 1, bytes -> {}).pack();
  }
}
