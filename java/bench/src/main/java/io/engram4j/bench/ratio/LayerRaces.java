package io.engram4j.bench.ratio;

import static io.engram4j.bench.ratio.Shapes.BRANCHES;
import static io.engram4j.bench.ratio.Shapes.COLUMNS;
import static io.engram4j.bench.ratio.Shapes.HIDDEN;
import static io.engram4j.bench.ratio.Shapes.INPUTS;
import static io.engram4j.bench.ratio.Shapes.OUTPUTS;

import io.engram4j.kernel.Backend;
import io.engram4j.kernel.StagewiseLookup;
import io.engram4j.model.Dtype;
import io.engram4j.model.HiddenStream;
import io.engram4j.model.LayerLayout;
import io.engram4j.table.Table;
import io.engram4j.weights.GateWeights;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** A layer without its projection, hash, gather and gate, beside the rivals'. */
final class LayerRaces {
  /** Tokens that go through the stages together, as in a layer. */
  private static final int BLOCK = io.engram4j.run.Step.BLOCK;

  private final Report report;
  private final int rounds;
  private final Map<String, Backend> backends;
  private final String best;
  private final LayerLayout layout;
  private final MemorySegment data;
  private final Table table;
  private final GateWeights weights = Shapes.gate(HIDDEN);

  LayerRaces(
      Report report,
      int rounds,
      Map<String, Backend> backends,
      String best,
      LayerLayout layout,
      MemorySegment data) {
    this.report = report;
    this.rounds = rounds;
    this.backends = backends;
    this.best = best;
    this.layout = layout;
    this.data = data;
    this.table = Shapes.table(layout.rows(), Shapes.HEAD_DIM, data);
  }

  /**
   * Tokens on their way, and the memory of their stages. Single tokens run many times a round, with
   * other rows each time, as the first time would otherwise be the only one whose rows are not
   * cached.
   */
  final class Step {
    final int tokens;
    final int calls;
    final MemorySegment coming;
    final MemorySegment windows;
    final MemorySegment ids = Shapes.allocate(8L * BLOCK * COLUMNS);
    final MemorySegment rows = Shapes.allocate(4L * BLOCK * INPUTS);
    final MemorySegment kv;
    final MemorySegment stream;
    final MemorySegment mask;
    final MemorySegment gates;

    Step(int tokens) {
      this.tokens = tokens;
      this.calls = Math.max(1, 512 / tokens);
      this.coming = Shapes.windows(calls * tokens);
      this.windows = Shapes.windows(tokens);
      this.kv = Shapes.floats((long) tokens * OUTPUTS);
      this.stream = Shapes.floats((long) tokens * BRANCHES * HIDDEN);
      this.mask = Shapes.mask(tokens);
      this.gates = Shapes.allocate(4L * tokens * BRANCHES);
    }

    Runnable on(Backend backend) {
      Backend.Lookup lookup =
          StagewiseLookup.orOwn(backend, List.of(layout), List.of(table), Arena.global());
      Backend.Gate gate = backend.gate(weights, Arena.global());
      HiddenStream hidden = HiddenStream.of(stream, Dtype.F32, BRANCHES, HIDDEN);
      return () -> {
        for (int first = 0; first < tokens; first += BLOCK) {
          int some = Math.min(BLOCK, tokens - first);
          lookup.run(windows.asSlice(4L * Shapes.WINDOW * first), some, ids, rows, Dtype.F32);
          gate.run(
              kv.asSlice(4L * OUTPUTS * first),
              hidden.from(first),
              mask.asSlice(first),
              some,
              gates,
              null);
        }
      };
    }

    void fresh() {
      Shapes.fillWindows(coming, calls * tokens);
    }

    /** Runs a round's calls, each with windows of its own. */
    Runnable round(Runnable call) {
      long bytes = 4L * Shapes.WINDOW * tokens;
      return () -> {
        for (int i = 0; i < calls; i++) {
          MemorySegment.copy(coming, bytes * i, windows, 0, bytes);
          call.run();
        }
      };
    }

    double units() {
      return (double) calls * tokens;
    }
  }

  void againstRivals(List<Rival> rivals) {
    // tokens, floor and goal against PyTorch without a module, and against its best form
    double[][] wanted = {{1, 50, 80, 15, 20}, {512, 8, 12, 3.5, 5}};
    for (double[] row : wanted) {
      int tokens = (int) row[0];
      Step step = new Step(tokens);
      Race race = new Race(rounds);
      backends.forEach((name, backend) ->
          race.add(name, step.units(), step::fresh, step.round(step.on(backend))));
      for (Rival rival : rivals) {
        Optional<Rival.LayerRun> run = rival.layer(rivalLayer(step));
        run.ifPresent(body -> {
          requireAlike(step, body);
          race.add(rival.name(), step.units(), step::fresh, step.round(body));
        });
      }
      Race.Times times = race.run();
      report.times("layer without projection, " + tokens + " tokens", "token", times);
      for (Rival rival : rivals) {
        if (times.nanos().containsKey(rival.name())) {
          String key = key(rival.name());
          boolean wantsMore = key.equals("pytorch_");
          report.atLeast(
              "layer_vs_" + key + tokens,
              "layer without projection / " + rival.name() + ", T = " + tokens,
              times.faster(best, rival.name()),
              wantsMore ? row[1] : 1,
              wantsMore ? row[2] : 1);
        }
      }
      rivals.stream()
          .map(Rival::name)
          .filter(name -> name.startsWith("PyTorch") && times.nanos().containsKey(name))
          .min(Comparator.comparing(times::median))
          .ifPresent(strongest ->
              report.atLeast(
                  "layer_vs_torch_best_" + tokens,
                  "layer without projection / best of PyTorch, T = " + tokens,
                  times.faster(best, strongest),
                  row[3],
                  row[4]));
    }
  }

  private static String key(String rival) {
    if (!rival.startsWith("PyTorch")) {
      return "onnx_";
    }
    return rival.contains("tuned")
        ? "pytorch_tuned_"
        : rival.contains("TorchScript") ? "pytorch_script_" : "pytorch_";
  }

  private Rival.Layer rivalLayer(Step step) {
    Shapes.Numbers numbers = Shapes.Numbers.of(layout);
    MemorySegment product = Shapes.allocate(4L * BRANCHES * HIDDEN);
    for (int i = 0; i < BRANCHES * HIDDEN; i++) {
      float weight = weights.product(i / HIDDEN, i % HIDDEN);
      product.setAtIndex(ValueLayout.JAVA_FLOAT, i, weight);
    }
    return new Rival.Layer(
        step.tokens,
        step.windows,
        numbers.multipliers(),
        numbers.primes(),
        numbers.offsets(),
        data,
        step.kv,
        step.stream,
        product);
  }

  /** Rows must be the same to the bit, and the stream nearly, or the race is worth nothing. */
  private void requireAlike(Step step, Rival.LayerRun rival) {
    int tokens = Math.min(step.tokens, BLOCK);
    long bytes = 4L * step.tokens * BRANCHES * HIDDEN;
    MemorySegment before = Shapes.allocate(bytes).copyFrom(step.stream.asSlice(0, bytes));
    rival.run();
    MemorySegment theirs = Shapes.allocate(bytes).copyFrom(step.stream.asSlice(0, bytes));
    step.stream.copyFrom(before);
    step.on(Shapes.cpu(best)).run();
    float[] rows = rival.rows();
    int first = step.tokens <= BLOCK ? 0 : step.tokens - BLOCK; // what the last block left
    for (int i = 0; i < tokens * INPUTS; i++) {
      float ours = step.rows.getAtIndex(ValueLayout.JAVA_FLOAT, i);
      if (ours != rows[first * INPUTS + i]) {
        throw new IllegalStateException("the rival's rows are others, at element " + i);
      }
    }
    for (long i = 0; i < bytes / 4; i++) {
      float ours = step.stream.getAtIndex(ValueLayout.JAVA_FLOAT, i);
      if (!(Math.abs(ours - theirs.getAtIndex(ValueLayout.JAVA_FLOAT, i)) < 1e-3)) {
        throw new IllegalStateException("the rival's stream is another, at element " + i);
      }
    }
    step.stream.copyFrom(before);
    Limits.free(before);
    Limits.free(theirs);
  }

  /**
   * What the way down costs a fused call of two layers whose rows are not in the caches.
   *
   * @param other of another layer, whose ids are other rows of the same table
   */
  void callShare(LayerLayout other) {
    int calls = 4096;
    Backend.Lookup lookup =
        StagewiseLookup.orOwn(
            Shapes.cpu(best), List.of(layout, other), List.of(table, table), Arena.global());
    MemorySegment windows = Shapes.windows(calls);
    MemorySegment ids = Shapes.allocate(8L * 2 * COLUMNS);
    MemorySegment rows = Shapes.allocate(4L * 2 * INPUTS);
    Race race = new Race(rounds);
    race.add(
        "lookup",
        calls,
        () -> Shapes.fillWindows(windows, calls),
        () -> {
          for (int i = 0; i < calls; i++) {
            lookup.run(windows.asSlice(4L * Shapes.WINDOW * i), 1, ids, rows, Dtype.F32);
          }
        });
    race.add(
        "a call that does nothing",
        calls,
        () -> {
          for (int i = 0; i < calls; i++) {
            Limits.sink = Limits.nothing(windows, i, ids);
          }
        });
    Race.Times times = race.run();
    report.times("hash and gather of two layers, 1 token", "call", times);
    double[] share = times.faster("lookup", "a call that does nothing");
    report.atMost("ffm_share_1", "FFM share of a fused call, T = 1", share, 0.01, 0.003);
  }
}
