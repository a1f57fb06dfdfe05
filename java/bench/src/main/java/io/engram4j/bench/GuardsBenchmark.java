package io.engram4j.bench;

import io.engram4j.run.Lifetime;
import io.engram4j.run.Owner;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.Warmup;

/**
 * What a call costs that is held to the rules: of one owner, and that nothing is freed under it. To
 * be seen beside a layer of one token, whose gate alone takes microseconds.
 */
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Fork(1)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@SuppressWarnings("NonAtomicVolatileUpdate") // of calls, which are this thread's
public class GuardsBenchmark {
  private final Owner sequence = new Owner("the sequence");
  private final Lifetime lifetime = new Lifetime(null);
  private final Lifetime.Call step = lifetime.newCall();
  private final Lifetime.Call layer = lifetime.newCall();

  /** All that {@code layer.apply(sequence, 1, hidden)} does of it. */
  @Benchmark
  public void apply() {
    sequence.enter();
    try {
      step.begin();
      try {
        layer.begin();
        layer.depth--;
      } finally {
        step.depth--;
      }
    } finally {
      sequence.busy = false;
    }
  }

  /** What {@code layer.project} does, which has no owner. */
  @Benchmark
  public void project() {
    lifetime.enter();
    lifetime.exit();
  }
}
