package io.engram4j.tck;

import java.io.IOException;
import java.lang.reflect.Constructor;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Consumer;
import java.util.stream.Stream;

/**
 * Lets one thing fail at a time: each allocation, file operation and task of an executor in the
 * packing, opening, serving, saving and closing of a small model, in every placement. After each
 * the step is taken again and must succeed with the right rows; nothing may hang, and no memory,
 * file or thread be left. For a process of its own: {@code ci/faults}.
 */
public final class FaultRun {
  private static final List<String> WAYS =
      List.of("MAPPED", "RESIDENT", "STREAMED", "SHARED", FaultTrial.PACKED);
  private static final int MOST_FAILURES = 300;
  private static final String LEFT = "left ";

  private final Path work;
  private final Consumer<String> out;
  private final FaultLoader loader = new FaultLoader(FaultRun.class.getClassLoader());
  private final List<String> failures = new ArrayList<>();
  private long injected;

  private FaultRun(Path work, Consumer<String> out) {
    this.work = work;
    this.out = out;
  }

  /**
   * Runs.
   *
   * @param every one fault in so many is tried, from a place that the seed gives
   * @param backends names of backends
   * @param work an empty directory
   * @param out hears how far it is
   * @return how many faults happened
   * @throws IOException with what went wrong, some of it if it is much
   */
  public static long run(
      int every, long seed, List<String> backends, Path work, Consumer<String> out)
      throws IOException {
    Golden.extract(work.resolve("golden"));
    FaultRun run = new FaultRun(work, out);
    SplittableRandom random = new SplittableRandom(seed);
    for (String backend : backends) {
      for (String way : WAYS) {
        run.all(backend, "mini-v41", way, every, random.nextInt(every));
      }
      run.all(backend, "mini-paper", "MAPPED", every, random.nextInt(every)); // with a convolution
    }
    if (!run.failures.isEmpty()) {
      throw new IOException(
          run.failures.size()
              + " of "
              + run.injected
              + " faults:\n"
              + String.join("\n", run.failures));
    }
    return run.injected;
  }

  private void all(String backend, String model, String way, int every, int first)
      throws IOException {
    Faults.Trial trial = trial(backend, model, way);
    one(trial, backend, way, -1); // loads classes; what they do once is not tried
    long places = one(trial, backend, way, -1);
    long before = injected;
    for (long number = first; number < places; number += every) {
      one(trial, backend, way, number);
    }
    out.accept(
        String.format(
            "%-6s %-10s %-9s %,7d places, %,7d faults, %d wrong",
            backend, model, way, places, injected - before, failures.size()));
  }

  private Faults.Trial trial(String backend, String model, String way) throws IOException {
    try {
      Constructor<?> constructor =
          loader
              .loadClass(FaultTrial.class.getName())
              .getDeclaredConstructor(Path.class, Path.class, String.class, String.class);
      constructor.setAccessible(true);
      Path source = work.resolve("golden").resolve(model);
      return (Faults.Trial) constructor.newInstance(source, work.resolve("trial"), backend, way);
    } catch (ReflectiveOperationException e) {
      throw new IOException("no trial of " + backend, e);
    }
  }

  /** Runs with one fault; returns how many places there were. */
  private long one(Faults.Trial trial, String backend, String way, long number) throws IOException {
    Path directory = work.resolve("trial");
    Files.createDirectories(directory);
    Callable<Void> all =
        () -> {
          trial.run();
          return null;
        };
    FutureTask<Void> task = new FutureTask<>(all);
    Thread thread = new Thread(task, "trial");
    Set<String> before = openFiles();
    Faults.arm(number);
    thread.start();
    String problem = end(task, thread);
    long places = Faults.disarm();
    boolean happened = !Faults.failed().isEmpty();
    if (happened) {
      injected++;
    }
    if (problem.isEmpty()) {
      problem = leftovers(directory, before);
    }
    for (int i = 0; i < 200 && problem.startsWith(LEFT); i++) {
      LockSupport.parkNanos(10_000_000); // what waited for a prefetch is about to be freed
      problem = leftovers(directory, before);
    }
    if (!problem.isEmpty()) {
      String failure = backend + " " + way + " " + number + ", " + Faults.failed() + ": " + problem;
      out.accept(failure);
      failures.add(failure);
      if (failures.size() >= MOST_FAILURES) {
        throw new IOException("too many failures:\n" + String.join("\n", failures));
      }
    }
    TemporaryDirectory.delete(directory);
    return places;
  }

  private static String end(FutureTask<Void> task, Thread thread) throws IOException {
    try {
      task.get(20, TimeUnit.SECONDS);
      return "";
    } catch (ExecutionException e) {
      StringBuilder text = new StringBuilder();
      for (Throwable cause = e.getCause(); cause != null; cause = cause.getCause()) {
        text.append("\n    ").append(cause);
        Stream.of(cause.getStackTrace())
            .limit(12)
            .forEach(at -> text.append("\n      ").append(at));
      }
      return text.toString();
    } catch (TimeoutException e) {
      StringBuilder text = new StringBuilder("hangs");
      for (Map.Entry<Thread, StackTraceElement[]> each : Thread.getAllStackTraces().entrySet()) {
        if (each.getKey() == thread || each.getKey().getName().startsWith("engram")) {
          text.append("\n  ").append(each.getKey().getName());
          Stream.of(each.getValue()).limit(12).forEach(at -> text.append("\n      ").append(at));
        }
      }
      return text.toString();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted", e);
    }
  }

  /**
   * Returns what a trial left: arenas, files that are open or mapped, threads, files half written.
   */
  private String leftovers(Path directory, Set<String> before) throws IOException {
    List<String> left = new ArrayList<>();
    for (String site : Faults.openArenas()) {
      left.add("an arena of " + site);
    }
    for (Thread thread : Thread.getAllStackTraces().keySet()) {
      if (thread.getName().startsWith("engram")) {
        left.add("thread " + thread.getName());
      }
    }
    Set<String> now = openFiles();
    now.removeAll(before);
    left.addAll(now);
    try (Stream<Path> files = Files.walk(directory)) {
      files
          .filter(file -> file.toString().matches(".*\\.(tmp|part|journal)"))
          .forEach(file -> left.add("file " + file));
    }
    return left.isEmpty() ? "" : LEFT + String.join(", ", left);
  }

  /** Returns what a number is open for, nothing if it was closed meanwhile. */
  private static String target(Path number) throws IOException {
    try {
      return Files.readSymbolicLink(number).toString().replace(" (deleted)", "");
    } catch (NoSuchFileException e) {
      return ""; // such as the one of the list that it is in
    }
  }

  /** Returns the files of this run that the process has open or mapped. */
  private Set<String> openFiles() throws IOException {
    Set<String> open = new TreeSet<>();
    Path numbers = Path.of("/proc/self/fd");
    if (!Files.isReadable(numbers)) {
      return open;
    }
    try (Stream<String> lines = Files.lines(Path.of("/proc/self/maps"))) {
      lines
          .filter(line -> line.contains(work.toString()))
          .forEach(line -> open.add("mapped " + line));
    }
    try (Stream<Path> files = Files.list(numbers)) {
      for (Path file : files.toList()) {
        String target = target(file);
        if (target.startsWith(work.toString())) {
          open.add("open " + file.getFileName() + " " + work.relativize(Path.of(target)));
        }
      }
    }
    return open;
  }
}
