package io.engram4j.bench;

import io.engram4j.Backends;
import io.engram4j.kernel.Backend;
import io.engram4j.model.EngramConfig;
import io.engram4j.model.EngramLayout;
import io.engram4j.model.LayerLayout;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.SplittableRandom;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.OperationsPerInvocation;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.Warmup;

/** Stage hash at V4.1's layout: columns a second. */
@State(Scope.Thread)
@Fork(1)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
public class HashBenchmark {
  private static final int TOKENS = 512;
  private static final int COLUMNS = 24;

  /** The backend to run. */
  @Param("java")
  public String backend = "java";

  private Backend.Hash kernel = Backends.named("java").hash(v41Layout(), Arena.global());
  private MemorySegment windows = MemorySegment.NULL;
  private MemorySegment rowIds = MemorySegment.NULL;

  static LayerLayout v41Layout() {
    EngramConfig config =
        EngramConfig.builder()
            .hiddenSize(5120)
            .branches(4)
            .layerIds(List.of(1, 14))
            .ngrams(4, 16_000_000L)
            .heads(8, 256)
            .padTokenId(2)
            .build();
    return EngramLayout.of(config, 99_092).getFirst();
  }

  /** Fills the windows with random ids. */
  @Setup
  public void setup() {
    kernel = Backends.named(backend).hash(v41Layout(), Arena.global());
    windows = Arena.global().allocate(4L * 4 * TOKENS, 64);
    rowIds = Arena.global().allocate(8L * COLUMNS * TOKENS, 64);
    SplittableRandom random = new SplittableRandom(1);
    for (int i = 0; i < 4 * TOKENS; i++) {
      windows.setAtIndex(ValueLayout.JAVA_INT, i, random.nextInt(99_092));
    }
  }

  /** A whole prefill chunk. */
  @Benchmark
  @OperationsPerInvocation(TOKENS * COLUMNS)
  public void prefill() {
    kernel.run(windows, TOKENS, rowIds);
  }

  /** One token. */
  @Benchmark
  @OperationsPerInvocation(COLUMNS)
  public void decode() {
    kernel.run(windows, 1, rowIds);
  }
}
