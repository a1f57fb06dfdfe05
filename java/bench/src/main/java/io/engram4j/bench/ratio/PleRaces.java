package io.engram4j.bench.ratio;

import io.engram4j.kernel.Backend;
import io.engram4j.kernel.StagewiseLookup;
import io.engram4j.model.Dtype;
import io.engram4j.model.EngramConfig;
import io.engram4j.model.EngramLayout;
import io.engram4j.model.HiddenStream;
import io.engram4j.model.LayerLayout;
import io.engram4j.model.RowHashing;
import io.engram4j.table.RowType;
import io.engram4j.table.Table;
import io.engram4j.weights.ConvWeights;
import io.engram4j.weights.GateWeights;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;

/** One token of Qwen's layer without its projections: hash, gather, gate, convolution. */
final class PleRaces {
  private static final int HIDDEN = 2560;
  private static final int BRANCHES = 4;
  private static final int CHANNELS = BRANCHES * HIDDEN;
  private static final int WIDTH = 160;
  private static final int COLUMNS = 16;
  private static final int WINDOW = 3;
  private static final int TAPS = 4;
  private static final int REACH = 9;
  private static final int VOCABULARY = 248_320;
  private static final int CALLS = 512;
  private static final double EPS = 1e-6;

  private final Report report;
  private final int rounds;
  private final Map<String, Backend> backends;
  private final String best;
  private final LayerLayout layout;
  private final Table table;
  private final MemorySegment data;
  private final SplittableRandom random = new SplittableRandom(6);
  private final float[] query = norms();
  private final float[] key = norms();
  private final float[] norm = norms();
  private final float[] taps = new float[TAPS * CHANNELS];
  private final MemorySegment coming = Shapes.allocate(4L * WINDOW * CALLS);
  private final MemorySegment window = Shapes.allocate(4L * WINDOW);
  private final MemorySegment kv = Shapes.floats((BRANCHES + 1L) * HIDDEN);
  private final MemorySegment stream = Shapes.floats(CHANNELS);
  private final MemorySegment state = Shapes.floats((REACH + 1L) * CHANNELS);

  /** A table of so many bytes, as bf16. */
  PleRaces(Report report, int rounds, Map<String, Backend> backends, String best, long bytes) {
    this.report = report;
    this.rounds = rounds;
    this.backends = backends;
    this.best = best;
    EngramConfig config =
        EngramConfig.builder()
            .hiddenSize(HIDDEN)
            .branches(BRANCHES)
            .layerIds(List.of(1))
            .ngrams(WINDOW, bytes / (2L * WIDTH) / COLUMNS)
            .heads(COLUMNS / 2, WIDTH)
            .seed(1234)
            .hashing(RowHashing.SPLITMIX64)
            .build();
    this.layout = EngramLayout.of(config, VOCABULARY).getFirst();
    this.data = Limits.pages(layout.rows() * 2 * WIDTH, true);
    for (long i = 0; i + 8 <= data.byteSize(); i += 8) {
      // ordinary numbers in all four
      long bits = (random.nextLong() & 0x807f807f807f807fL) | 0x3f003f003f003f00L;
      data.set(ValueLayout.JAVA_LONG, i, bits);
    }
    this.table = Table.of("bench", RowType.BF16, layout.rows(), WIDTH, data, null);
    for (int i = 0; i < taps.length; i++) {
      taps[i] = (float) random.nextDouble(-1, 1);
    }
  }

  private float[] norms() {
    float[] norms = new float[CHANNELS];
    for (int i = 0; i < norms.length; i++) {
      norms[i] = (float) random.nextDouble(0.5, 1.5);
    }
    return norms;
  }

  void run(List<Rival> rivals) {
    Race race = new Race(rounds);
    backends.forEach((name, backend) -> race.add(name, CALLS, this::fresh, round(on(backend))));
    for (Rival rival : rivals) {
      rival
          .ple(
              new Rival.Ple(
                  window,
                  numbers(WINDOW, layout::multiplier),
                  numbers(COLUMNS, layout::prime),
                  numbers(COLUMNS, layout::offset),
                  data,
                  kv,
                  stream,
                  key,
                  query,
                  norm,
                  taps,
                  state))
          .ifPresent(body -> {
            requireAlike(body);
            race.add(rival.name(), CALLS, this::fresh, round(body));
          });
    }
    Race.Times times = race.run();
    report.times("Qwen's layer without projections, 1 token", "token", times);
    for (Rival rival : rivals) {
      if (times.nanos().containsKey(rival.name())) {
        report.atLeast(
            "ple_vs_pytorch_1",
            "Qwen's layer without projections / " + rival.name(),
            times.faster(best, rival.name()),
            1,
            5);
      }
    }
    Limits.free(data);
  }

  /** Gives a number of a layout. */
  @FunctionalInterface
  private interface Numbers {
    long at(int index);
  }

  private static long[] numbers(int count, Numbers of) {
    long[] numbers = new long[count];
    for (int i = 0; i < count; i++) {
      numbers[i] = of.at(i);
    }
    return numbers;
  }

  private void fresh() {
    for (int i = 0; i < WINDOW * CALLS; i++) {
      coming.setAtIndex(ValueLayout.JAVA_INT, i, random.nextInt(VOCABULARY));
    }
  }

  private Runnable round(Runnable call) {
    return () -> {
      for (int i = 0; i < CALLS; i++) {
        MemorySegment.copy(coming, 4L * WINDOW * i, window, 0, 4L * WINDOW);
        call.run();
      }
    };
  }

  private Runnable on(Backend backend) {
    Arena arena = Arena.global();
    Backend.Lookup lookup = StagewiseLookup.orOwn(backend, List.of(layout), List.of(table), arena);
    Backend.Gate gate =
        backend.gate(
            new GateWeights(BRANCHES, HIDDEN, query, key, EPS, GateWeights.ZeroRule.SIGNUM), arena);
    Backend.Conv conv =
        backend.conv(new ConvWeights(BRANCHES, HIDDEN, TAPS, WINDOW, taps, norm, EPS), arena);
    MemorySegment ids = Shapes.allocate(8L * COLUMNS);
    MemorySegment rows = Shapes.allocate(4L * COLUMNS * WIDTH);
    MemorySegment gates = Shapes.allocate(4L * BRANCHES);
    MemorySegment gated = Shapes.allocate(4L * CHANNELS);
    MemorySegment mask = Shapes.mask(1);
    HiddenStream hidden = HiddenStream.of(stream, Dtype.F32, BRANCHES, HIDDEN);
    return () -> {
      lookup.run(window, 1, ids, rows, Dtype.F32);
      gate.run(kv, hidden, mask, 1, gates, gated);
      conv.run(gated, state, REACH, mask, 1, hidden);
    };
  }

  /** The streams must be nearly the same, or the race is worth nothing. */
  private void requireAlike(Runnable rival) {
    fresh();
    MemorySegment.copy(coming, 0, window, 0, 4L * WINDOW);
    long bytes = 4L * CHANNELS;
    MemorySegment before = Shapes.allocate(bytes).copyFrom(stream.asSlice(0, bytes));
    rival.run();
    MemorySegment theirs = Shapes.allocate(bytes).copyFrom(stream.asSlice(0, bytes));
    stream.copyFrom(before);
    on(Shapes.cpu(best)).run();
    for (long i = 0; i < CHANNELS; i++) {
      float ours = stream.getAtIndex(ValueLayout.JAVA_FLOAT, i);
      if (!(Math.abs(ours - theirs.getAtIndex(ValueLayout.JAVA_FLOAT, i)) < 1e-3)) {
        throw new IllegalStateException("the rival's stream is another, at element " + i);
      }
    }
    stream.copyFrom(before);
  }
}
