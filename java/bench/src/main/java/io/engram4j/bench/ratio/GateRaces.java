package io.engram4j.bench.ratio;

import static io.engram4j.bench.ratio.Shapes.BRANCHES;

import io.engram4j.kernel.Backend;
import io.engram4j.model.Dtype;
import io.engram4j.model.HiddenStream;
import io.engram4j.weights.GateWeights;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Map;

/**
 * The gate against copying as many bytes as it reads and writes: half of them read, half written.
 */
final class GateRaces {
  private final Report report;
  private final int rounds;
  private final Map<String, Backend> backends;
  private final String best;

  GateRaces(Report report, int rounds, Map<String, Backend> backends, String best) {
    this.report = report;
    this.rounds = rounds;
    this.backends = backends;
    this.best = best;
  }

  void run() {
    for (Dtype type : new Dtype[] {Dtype.F32, Dtype.BF16}) {
      for (int tokens : new int[] {1, 8, 64, 512}) {
        Race.Times times = race(Shapes.HIDDEN, type, tokens);
        report.times("gate, V4.1 width, " + type + ", " + tokens + " tokens", "token", times);
        double[] ratio = times.faster(best, "memcpy");
        if (tokens == 512 && type == Dtype.F32) {
          report.atLeast("gate_f32_vs_memcpy", "gate, float32 / memcpy, T = 512", ratio, 1.0, 1.2);
        } else if (tokens == 512) {
          report.atLeast("gate_bf16_vs_memcpy", "gate, bf16 / memcpy, T = 512", ratio, 0.8, 0.95);
        }
      }
      report.times(
          "gate, demo width, " + type + ", 8 tokens", "token", race(Shapes.DEMO_HIDDEN, type, 8));
    }
  }

  private Race.Times race(int hidden, Dtype type, int tokens) {
    GateWeights weights = Shapes.gate(hidden);
    long width = (long) BRANCHES * hidden;
    MemorySegment kv = Shapes.floats(tokens * (width + hidden));
    MemorySegment data =
        type == Dtype.F32 ? Shapes.floats(tokens * width) : Shapes.bf16(tokens * width);
    HiddenStream stream = HiddenStream.of(data, type, BRANCHES, hidden);
    MemorySegment mask = Shapes.mask(tokens);
    MemorySegment gates = Shapes.allocate(4L * tokens * BRANCHES);
    long moved = tokens * (2 * width * type.bytes() + 4 * (width + hidden));
    MemorySegment from = Shapes.allocate(moved / 2);
    MemorySegment to = Shapes.allocate(moved / 2);
    from.fill((byte) 1);
    to.fill((byte) 1);
    Race race = new Race(rounds);
    race.add("memcpy", tokens, () -> Limits.copy(to, from, moved / 2));
    backends.forEach((name, backend) -> {
      if (!name.equals("java") || tokens <= 8) {
        Backend.Gate gate = backend.gate(weights, Arena.global());
        race.add(name, tokens, () -> gate.run(kv, stream, mask, tokens, gates, null));
      }
    });
    Race.Times times = race.run();
    for (MemorySegment segment : new MemorySegment[] {kv, data, gates, from, to}) {
      Limits.free(segment);
    }
    return times;
  }
}
