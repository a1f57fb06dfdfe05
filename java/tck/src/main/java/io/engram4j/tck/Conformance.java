package io.engram4j.tck;

import io.engram4j.EngramModel;
import io.engram4j.hf.EngramModels;
import io.engram4j.kernel.Backend;
import io.engram4j.kernel.java.JavaBackend;
import io.engram4j.model.Stage;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.SegmentAllocator;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * The conformance suite: holds a backend to the golden files and, over random shapes and inputs, to
 * the Java backend. Integers and dequantised rows must be equal, floats lie within the bounds of
 * the golden files, nothing may be written outside the outputs, and ids outside a table must be
 * refused. In a test:
 *
 * <pre>{@code
 * Conformance.of(new MyBackend()).run().requirePassed();
 * }</pre>
 *
 * <p>The property {@code engram.tck.seed} repeats a run, {@code engram.tck.cases} sets its length.
 */
public final class Conformance {
  private static final int DEFAULT_CASES = 500;

  /** Row ids, and rows, that are compared at real sizes for each random case of a stage. */
  private static final long MANY = 2000;

  private final Backend backend;
  private final long seed;
  private final int cases;
  private final @Nullable Function<Arena, SegmentAllocator> memory;

  /**
   * What a run found.
   *
   * @param backend the backend's name
   * @param seed the seed of the random cases
   * @param cases per stage, and for the golden tensors, how many cases ran
   * @param failures what failed, each with its case
   */
  public record Report(
      String backend, long seed, Map<String, Integer> cases, List<String> failures) {
    /** Returns how many cases ran. */
    public int total() {
      return cases.values().stream().mapToInt(Integer::intValue).sum();
    }

    /**
     * Throws if anything failed.
     *
     * @throws AssertionError with the first failures and the seed that repeats them
     */
    public void requirePassed() {
      if (!failures.isEmpty()) {
        List<String> first = failures.subList(0, Math.min(10, failures.size()));
        throw new AssertionError(
            failures.size()
                + " of "
                + total()
                + " conformance cases of backend "
                + backend
                + " failed (repeat with -Dengram.tck.seed="
                + seed
                + "): "
                + String.join("; ", first));
      }
    }
  }

  private Conformance(
      Backend backend, long seed, int cases, @Nullable Function<Arena, SegmentAllocator> memory) {
    this.backend = backend;
    this.seed = seed;
    this.cases = cases;
    this.memory = memory;
  }

  /** Prepares a run with a fresh seed, or the one of the property. */
  public static Conformance of(Backend backend) {
    long seed = Long.getLong("engram.tck.seed", System.nanoTime() & 0xffffffffL);
    return new Conformance(
        backend, seed, Integer.getInteger("engram.tck.cases", DEFAULT_CASES), null);
  }

  /** Returns a run with this seed. */
  public Conformance seed(long newSeed) {
    return new Conformance(backend, newSeed, cases, memory);
  }

  /** Returns a run with so many random cases per stage. */
  public Conformance cases(int newCases) {
    return new Conformance(backend, seed, newCases, memory);
  }

  /**
   * Returns a run that takes most of its off-heap buffers from an allocator, made for each case's
   * arena: for example one that puts every buffer beside an unreadable page. Buffers must have the
   * exact size that is asked for, at any alignment, and live until the arena is closed.
   */
  public Conformance memory(Function<Arena, SegmentAllocator> newMemory) {
    return new Conformance(backend, seed, cases, newMemory);
  }

  /**
   * Runs all cases.
   *
   * @throws IOException if the golden files cannot be written to a temporary directory
   */
  public Report run() throws IOException {
    Map<String, Integer> counts = new LinkedHashMap<>();
    List<String> failures = new ArrayList<>();
    HashCases hash = new HashCases(backend, memory);
    GatherCases gather = new GatherCases(backend, memory);
    Map<Stage, Cases> stages = new EnumMap<>(Stage.class);
    stages.put(Stage.HASH, hash);
    stages.put(Stage.GATHER, gather);
    stages.put(Stage.PROJECT, new ProjectCases(backend, memory));
    stages.put(Stage.GATE, new GateCases(backend, memory));
    stages.put(Stage.CONV, new ConvCases(backend, memory));
    stages.forEach((s, group) -> counts.put(name(s), random(group, name(s), failures)));
    counts.put("lookup", random(new LookupCases(backend, memory), "lookup", failures));
    counts.put("row ids", many(hash, Stage.HASH, failures));
    counts.put("rows", many(gather, Stage.GATHER, failures));
    counts.put("golden", golden(failures));
    return new Report(backend.name(), seed, counts, List.copyOf(failures));
  }

  private static String name(Stage stage) {
    return stage.name().toLowerCase(Locale.ROOT);
  }

  private int random(Cases group, String name, List<String> failures) {
    for (int i = 0; i < cases; i++) {
      // each case has a seed of its own, so that one can be repeated without the others
      long own = seed * 31 + name.hashCode() * 1_000_003L + i;
      try {
        group.one(new SplittableRandom(own));
      } catch (Cases.Mismatch | RuntimeException e) {
        failures.add(name + " case " + i + ": " + e);
      }
    }
    return cases;
  }

  /** Runs a case that itself compares many row ids or rows, and returns how many. */
  private int many(Cases.Exact group, Stage stage, List<String> failures) {
    try {
      return group.many(new SplittableRandom(seed), MANY * cases);
    } catch (Cases.Mismatch | RuntimeException e) {
      failures.add(name(stage) + " case of many: " + e);
      return 0;
    }
  }

  private int golden(List<String> failures) throws IOException {
    try (TemporaryDirectory temporary = TemporaryDirectory.make("engram-golden")) {
      Path directory = temporary.path();
      Golden.extract(directory);
      int count = GoldenGate.check(backend, directory.resolve("gate.safetensors"), failures);
      count += GoldenBlocks.check(backend, directory.resolve("gguf-blocks.safetensors"), failures);
      for (TruthFiles truth : TruthFiles.of(directory)) {
        String name = "" + directory.relativize(truth.model());
        try (EngramModel model = EngramModels.read(truth.model()).open(new JavaBackend());
            EngramModel view = model.withBackend(backend)) {
          for (Path file : truth.files()) {
            for (TensorResult result : Verifier.verify(view, file)) {
              count++;
              if (!result.passed()) {
                failures.add(name + "/" + file.getFileName() + ": " + result);
              }
            }
          }
        } catch (IOException | RuntimeException e) {
          failures.add(name + ": " + e);
        }
      }
      return count;
    }
  }
}
