package io.engram4j.bench;

import io.engram4j.Backends;
import io.engram4j.kernel.Backend;
import io.engram4j.table.RowType;
import io.engram4j.weights.Linear;
import io.engram4j.weights.Projection;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.SplittableRandom;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.Warmup;

/** Stage project at V4.1's width, 25600 x 6144 in fp8: batches a second. */
@State(Scope.Thread)
@Fork(1)
@Warmup(iterations = 2, time = 2)
@Measurement(iterations = 3, time = 2)
public class ProjectBenchmark {
  private static final int INPUTS = 6144;

  /** The backend to run. */
  @Param("java")
  public String backend = "java";

  /** Tokens in a batch. */
  @Param({"1", "8", "64"})
  public int tokens = 1;

  /** Outputs of the projection. */
  @Param("25600")
  public int outputs = 25_600;

  private Backend.Project kernel = Backends.named("java").project(projection(32), Arena.global());
  private MemorySegment rows = MemorySegment.NULL;
  private MemorySegment kv = MemorySegment.NULL;

  private static Projection projection(int outputs) {
    SplittableRandom random = new SplittableRandom(1);
    MemorySegment weight = Arena.global().allocate((long) outputs * INPUTS, 64);
    for (long i = 0; i < weight.byteSize() / 8; i++) {
      weight.setAtIndex(ValueLayout.JAVA_LONG, i, random.nextLong() & 0xefefefefefefefefL);
    }
    MemorySegment scale =
        Arena.global().allocate((long) Linear.tiles(outputs) * Linear.tiles(INPUTS), 64);
    scale.fill((byte) 113);
    return new Projection(
        List.of(new Linear("wkv", outputs, INPUTS, RowType.F8_E4M3, weight, scale, null)));
  }

  /** Fills weights and rows. */
  @Setup
  public void setup() {
    kernel = Backends.named(backend).project(projection(outputs), Arena.global());
    rows = Arena.global().allocate(4L * tokens * INPUTS, 64);
    kv = Arena.global().allocate(4L * tokens * outputs, 64);
    SplittableRandom random = new SplittableRandom(2);
    for (int i = 0; i < tokens * INPUTS; i++) {
      rows.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) random.nextGaussian());
    }
  }

  /** One batch. */
  @Benchmark
  public void batch() {
    kernel.run(rows, tokens, 0, outputs, kv);
  }
}
