package io.engram4j.bench;

import io.engram4j.Backends;
import io.engram4j.kernel.Backend;
import io.engram4j.model.Dtype;
import io.engram4j.model.HiddenStream;
import io.engram4j.weights.GateWeights;
import io.engram4j.weights.GateWeights.ZeroRule;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Objects;
import java.util.SplittableRandom;
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

/** Stage gate at V4.1's and the paper's width: tokens a second. */
@State(Scope.Thread)
@Fork(1)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
public class GateBenchmark {
  private static final int TOKENS = 64;
  private static final int BRANCHES = 4;

  /** The backend to run. */
  @Param("java")
  public String backend = "java";

  /** The width of a branch. */
  @Param({"5120", "1024"})
  public int hiddenSize = 1024;

  /** The type of the hidden stream. */
  @Param({"F32", "BF16"})
  public Dtype stream = Dtype.F32;

  private Backend.@Nullable Gate kernel;
  private MemorySegment kv = MemorySegment.NULL;
  private MemorySegment mask = MemorySegment.NULL;
  private MemorySegment gates = MemorySegment.NULL;
  private HiddenStream hidden = HiddenStream.of(new float[0], 1, 1);

  /** Fills weights, keys, values and streams. */
  @Setup
  public void setup() {
    int width = BRANCHES * hiddenSize;
    float[] weights = Inputs.gaussians(width);
    GateWeights gate =
        new GateWeights(BRANCHES, hiddenSize, weights, weights, 1e-20, ZeroRule.COPYSIGN);
    kernel = Backends.named(backend).gate(gate, Arena.global());
    kv = Inputs.floats(TOKENS * (width + hiddenSize));
    mask = Arena.global().allocate(TOKENS).fill((byte) 1);
    gates = Inputs.floats(TOKENS * BRANCHES);
    MemorySegment data = Arena.global().allocate((long) TOKENS * width * stream.bytes(), 64);
    hidden = HiddenStream.of(data, stream, BRANCHES, hiddenSize);
    SplittableRandom random = new SplittableRandom(3);
    for (int i = 0; i < TOKENS * width; i++) {
      hidden.set(0, i, (float) random.nextGaussian());
    }
  }

  /** V4.1's gate, which updates the stream. */
  @Benchmark
  @OperationsPerInvocation(TOKENS)
  public void gate() {
    Objects.requireNonNull(kernel).run(kv, hidden, mask, TOKENS, gates, null);
  }
}
