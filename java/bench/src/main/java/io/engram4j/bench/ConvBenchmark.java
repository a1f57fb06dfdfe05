package io.engram4j.bench;

import io.engram4j.Backends;
import io.engram4j.kernel.Backend;
import io.engram4j.model.HiddenStream;
import io.engram4j.weights.ConvWeights;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.OperationsPerInvocation;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.Warmup;

/** Stage conv at the paper's width, 4 taps 3 tokens apart: tokens a second. */
@State(Scope.Thread)
@Fork(1)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
public class ConvBenchmark {
  private static final int TOKENS = 64;
  private static final int BRANCHES = 4;
  private static final int KERNEL = 4;
  private static final int DILATION = 3;

  /** The backend to run. */
  @Param("java")
  public String backend = "java";

  /** The width of a branch. */
  @Param("1024")
  public int hiddenSize = 1024;

  private Backend.@Nullable Conv kernel;
  private int first;
  private MemorySegment gated = MemorySegment.NULL;
  private MemorySegment window = MemorySegment.NULL;
  private MemorySegment mask = MemorySegment.NULL;
  private @Nullable HiddenStream stream;

  /** Fills weights and values. */
  @Setup
  public void setup() {
    int width = BRANCHES * hiddenSize;
    float[] taps = Inputs.gaussians(width * KERNEL);
    ConvWeights conv =
        new ConvWeights(
            BRANCHES, hiddenSize, KERNEL, DILATION, taps, Inputs.gaussians(width), 1e-5);
    kernel = Backends.named(backend).conv(conv, Arena.global());
    first = conv.reach();
    gated = Inputs.floats(TOKENS * width);
    window = Inputs.floats((TOKENS + conv.reach()) * width);
    mask = Arena.global().allocate(TOKENS).fill((byte) 1);
    stream = HiddenStream.of(new float[TOKENS * width], BRANCHES, hiddenSize);
  }

  /** A block of tokens. */
  @Benchmark
  @OperationsPerInvocation(TOKENS)
  public void block() {
    Objects.requireNonNull(kernel)
        .run(gated, window, first, mask, TOKENS, Objects.requireNonNull(stream));
  }
}
