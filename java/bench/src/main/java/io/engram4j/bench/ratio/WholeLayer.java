package io.engram4j.bench.ratio;

import com.sun.management.ThreadMXBean;
import io.engram4j.EngramBatch;
import io.engram4j.EngramLayer;
import io.engram4j.EngramModel;
import io.engram4j.EngramSequence;
import io.engram4j.bench.MemoGain;
import io.engram4j.kernel.Backend;
import io.engram4j.model.Dtype;
import io.engram4j.model.HiddenStream;
import io.engram4j.model.LayerLayout;
import io.engram4j.model.TokenMap;
import io.engram4j.weights.LayerWeights;
import java.lang.foreign.MemorySegment;
import java.lang.management.ManagementFactory;
import java.util.Arrays;
import java.util.List;

/** A whole layer of V4.1: what the memo gains on real text, what a step allocates. */
final class WholeLayer {
  private final Report report;
  private final EngramModel model;

  WholeLayer(
      Report report, double gigabytes, LayerLayout layout, MemorySegment data, Backend backend) {
    this.report = report;
    LayerWeights weights =
        new LayerWeights(
            Shapes.table(layout.rows(), Shapes.HEAD_DIM, data),
            Shapes.projection(),
            Shapes.gate(Shapes.HIDDEN),
            null);
    int[] identity = new int[Shapes.VOCABULARY];
    Arrays.setAll(identity, id -> id);
    this.model =
        new EngramModel(
            Shapes.config(gigabytes), TokenMap.of(identity), List.of(weights), backend, null);
  }

  void memo(
      String key, String what, String text, long bytes, int rounds, double floor, double goal) {
    report.atLeast(key, what, MemoGain.gains(model, text, bytes, rounds), floor, goal);
  }

  /** Decodes until everything is compiled, or so many steps. */
  void allocation(int mostSteps) {
    EngramSequence sequence = model.newSequence();
    sequence.append(new int[2 * mostSteps]); // longer than what is decoded: it need not grow
    sequence.truncate(0);
    EngramBatch batch = model.newBatch();
    EngramLayer layer = model.layers().getFirst();
    MemorySegment data = Shapes.floats((long) Shapes.BRANCHES * Shapes.HIDDEN);
    HiddenStream hidden = HiddenStream.of(data, Dtype.F32, Shapes.BRANCHES, Shapes.HIDDEN);
    ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    double least = Double.MAX_VALUE;
    for (int steps = 0; steps < mostSteps && least > 0; steps += 100) {
      long before = threads.getCurrentThreadAllocatedBytes();
      for (int i = 0; i < 100; i++) {
        sequence.append(i * 7 % Shapes.VOCABULARY);
        batch.clear().add(sequence, sequence.length() - 1, 1);
        layer.apply(batch, hidden);
      }
      least = Math.min(least, (threads.getCurrentThreadAllocatedBytes() - before) / 100.0);
    }
    report.atMost("bytes_per_step", "bytes allocated per decode step", new double[] {least}, 0, 0);
  }
}
