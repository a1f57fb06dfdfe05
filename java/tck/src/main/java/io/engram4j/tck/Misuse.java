package io.engram4j.tck;

import io.engram4j.Backends;
import io.engram4j.EngramBatch;
import io.engram4j.EngramModel;
import io.engram4j.EngramSequence;
import io.engram4j.hf.EngramDirectory;
import io.engram4j.table.Placement;
import io.engram4j.table.TableOptions;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
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
import java.util.concurrent.locks.LockSupport;
import java.util.stream.Stream;

/**
 * Eight threads that break the rules of the API on the same objects, in random order: sequences and
 * batches used by several, memory that overlaps, changes or is closed under a call, arguments of
 * any size, listeners and executors that fail, interrupts, stacks that end. Only the exceptions
 * that are documented may come of it, and whoever keeps the rules in between gets the right rows.
 *
 * <p>{@code ci/misuse MINUTES} runs it.
 */
public final class Misuse {
  private static final int THREADS = 8;

  private final Path source;
  private final long end;
  private final String[] backends;
  private final SoakTruth truth;
  private final List<Target.Opener> openers;
  private final Map<String, LongAdder> counts = new ConcurrentHashMap<>();

  private volatile boolean failed;
  private volatile Shared shared;

  /**
   * What all threads use at once.
   *
   * @param memory rows, row ids and streams, closed when it is replaced
   */
  record Shared(
      EngramModel model,
      EngramSequence sequence,
      EngramBatch batch,
      List<Target> targets,
      Arena arena,
      MemorySegment memory) {}

  /** Something that is no part of models, for all threads to misuse. Thread-safe. */
  public interface Target extends AutoCloseable {
    /** Does anything that is wrong, or right. */
    void misuse(SplittableRandom random);

    /** Does something of that where the stack ends. */
    void atTheEndOfAStack();

    /**
     * Does something by the rules and checks it.
     *
     * @throws IOException if it is wrong
     */
    void check(SplittableRandom random) throws IOException;

    @Override
    void close();

    /** Opens one. */
    @FunctionalInterface
    interface Opener {
      /** Opens one beside a model's directory. */
      Target open(Path directory) throws IOException;
    }
  }

  private Misuse(Path source, Duration duration, String backends, List<Target.Opener> openers)
      throws IOException {
    this.openers = openers;
    this.source = source;
    this.backends = backends.split(",", -1);
    this.truth = SoakTruth.of(source);
    this.shared = open(new SplittableRandom(1));
    this.end = System.nanoTime() + duration.toNanos();
  }

  /**
   * Runs.
   *
   * @param seed what each thread does; when, nobody can say
   * @param work an empty directory
   * @param backends names of backends, which models take in turns
   * @param more what is misused besides models
   * @return how often each thing was done, and each exception came
   * @throws IOException with what went wrong first
   */
  public static Map<String, LongAdder> run(
      Duration duration, long seed, Path work, String backends, List<Target.Opener> more)
      throws IOException {
    Golden.extract(work);
    Misuse misuse = new Misuse(work.resolve("mini-v41"), duration, backends, more);
    new MisuseUser(misuse, new SplittableRandom(seed)).warmUp();
    ExecutorService threads = Executors.newFixedThreadPool(THREADS);
    List<Future<?>> all = new ArrayList<>();
    try {
      SplittableRandom random = new SplittableRandom(seed);
      for (int i = 0; i < THREADS; i++) {
        all.add(threads.submit(new MisuseUser(misuse, random.split())));
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
      misuse.failed = true; // the others end, too
      threads.shutdown();
    }
    misuse.shared.model.close();
    misuse.shared.targets.forEach(Target::close);
    misuse.shared.arena.close();
    requireNothingMapped(work);
    return misuse.counts;
  }

  /** A call that ended in any way lets go of its model: closing it gives the files back. */
  private static void requireNothingMapped(Path work) throws IOException {
    List<String> left = mapped(work);
    for (int i = 0;
        i < 100 && !left.isEmpty();
        i++) { // what an executor was given may be under way
      LockSupport.parkNanos(50_000_000);
      left = mapped(work);
    }
    if (!left.isEmpty()) {
      throw new IOException("models were closed, but there are " + left);
    }
  }

  private static List<String> mapped(Path work) throws IOException {
    Path maps = Path.of("/proc/self/maps");
    if (!Files.isReadable(maps)) {
      return List.of();
    }
    try (Stream<String> lines = Files.lines(maps)) {
      return lines.filter(line -> line.contains(work.toString())).toList();
    }
  }

  SoakTruth truth() {
    return truth;
  }

  boolean isOver() {
    return failed || System.nanoTime() > end;
  }

  void count(String what) {
    counts.computeIfAbsent(what, key -> new LongAdder()).increment();
  }

  Shared shared() {
    return shared;
  }

  /** Puts another model in place of the one that all use, and closes that under their hands. */
  void replace(SplittableRandom random) throws IOException {
    Shared next = open(random);
    Shared old;
    synchronized (this) {
      old = shared;
      shared = next;
    }
    old.model.close();
    old.targets.forEach(Target::close);
    boolean closed = false;
    while (!closed) {
      try {
        old.arena.close();
        closed = true;
      } catch (IllegalStateException e) { // a call has it
        Thread.onSpinWait();
      }
    }
  }

  EngramModel model(SplittableRandom random) throws IOException {
    Placement[] placements = {Placement.MAPPED, Placement.RESIDENT, Placement.STREAMED};
    Placement placement = placements[random.nextInt(placements.length)];
    TableOptions options = TableOptions.defaults().placement(placement).threads(1);
    if (placement == Placement.STREAMED && random.nextBoolean()) {
      options = options.cacheBytes(random.nextInt(1, 200_000));
    }
    String backend = backends[random.nextInt(backends.length)];
    return EngramDirectory.read(source).open(Backends.named(backend), options);
  }

  private Shared open(SplittableRandom random) throws IOException {
    EngramModel model = model(random);
    EngramSequence sequence = model.newSequence();
    truth.append(sequence, 40);
    EngramBatch batch = model.newBatch().add(sequence, 0, 20);
    Arena arena = Arena.ofShared();
    MemorySegment memory = arena.allocate(1 << 20, 64);
    return new Shared(model, sequence, batch, targets(), arena, memory);
  }

  List<Target> targets() throws IOException {
    List<Target> targets = new ArrayList<>();
    for (Target.Opener opener : openers) {
      targets.add(opener.open(source));
    }
    return targets;
  }
}
