package io.engram4j.bench.ratio;

import io.engram4j.kernel.Backend;
import io.engram4j.model.Dtype;
import io.engram4j.table.RowType;
import io.engram4j.table.Table;
import io.engram4j.weights.Linear;
import io.engram4j.weights.Projection;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.EnumMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.SplittableRandom;

/**
 * Rows of the types that published tables have, at their widths, against touching the same bytes;
 * and projections whose weights stay in a file's type against the same weights as float32.
 */
final class TypeRaces {
  private static final int OUTPUTS = 5120;
  private static final int ROUND_ROWS = 8192 * 16;
  private static final List<RowType> WEIGHTS =
      List.of(RowType.F32, RowType.BF16, RowType.Q8_0, RowType.Q6_K, RowType.Q4_K, RowType.MXFP4);

  private final Report report;
  private final int rounds;
  private final Map<String, Backend> backends;
  private final String best;
  private final long bytes;

  /** A published table: its rows' type and width, and how many a token reads. */
  private record Rows(RowType type, int width, int columns) {
    String name() {
      return type.name().toLowerCase(Locale.ROOT) + "_" + width;
    }
  }

  /** A part of the benchmark, with tables of so many bytes. */
  TypeRaces(Report report, int rounds, Map<String, Backend> backends, String best, long bytes) {
    this.report = report;
    this.rounds = rounds;
    this.backends = backends;
    this.best = best;
    this.bytes = bytes;
  }

  void run() {
    for (RowType type : List.of(RowType.Q8_0, RowType.Q4_K, RowType.MXFP4)) {
      gather(new Rows(type, 256, 24));
    }
    for (RowType type :
        List.of(RowType.BF16, RowType.F8_E4M3_TENSOR, RowType.Q8_0, RowType.IQ4_NL)) {
      gather(new Rows(type, 160, 16));
    }
    project();
  }

  private void gather(Rows of) {
    int rowBytes = Math.toIntExact(of.type.rowBytes(of.width));
    long rows = bytes / rowBytes;
    MemorySegment data = Limits.pages(rows * rowBytes, true);
    fill(of.type, data);
    Table made = Table.interleaved("bench", of.type, rows, of.width, data);
    Table table = of.type.hasFactor() ? made.withFactor(209 * 0x1p-20f) : made;
    MemorySegment ids = Shapes.allocate(8L * ROUND_ROWS);
    MemorySegment out = Shapes.allocate(4L * of.columns * of.width);
    Runnable fresh = () -> Shapes.fillIds(ids, ROUND_ROWS, rows);
    Race race = new Race(rounds);
    race.add("touching", ROUND_ROWS, fresh, () -> Limits.touch(data, rowBytes, ids, ROUND_ROWS));
    backends.forEach((name, backend) -> {
      if (!name.equals("java") && !name.equals("vector")) {
        Backend.Gather gather = backend.gather(table, Arena.global());
        race.add(name, ROUND_ROWS, fresh, () -> byToken(gather, of.columns, ids, out));
      }
    });
    Race.Times times = race.run();
    report.times("gather, " + of.type + " rows of " + of.width, "row", times);
    report.atLeast(
        "gather_" + of.name() + "_vs_touch",
        "gather / touching, " + of.type + " of " + of.width,
        times.faster(best, "touching"),
        0.45,
        0.7);
    Limits.free(out);
    Limits.free(ids);
    Limits.free(data);
  }

  private static void byToken(
      Backend.Gather gather, int columns, MemorySegment ids, MemorySegment out) {
    for (int first = 0; first + columns <= ROUND_ROWS; first += columns) {
      gather.run(ids.asSlice(8L * first), columns, out, Dtype.F32);
    }
  }

  /** A fifth of V4.1's outputs, so that all forms of the weights fit beside each other. */
  private void project() {
    MemorySegment in = Shapes.floats(64L * Shapes.INPUTS);
    MemorySegment out = Shapes.allocate(4L * 64 * OUTPUTS);
    Backend backend = Objects.requireNonNull(backends.get(best));
    Map<RowType, Backend.Project> kernels = new EnumMap<>(RowType.class);
    for (RowType type : WEIGHTS) {
      MemorySegment weight = Limits.pages(OUTPUTS * type.elementBytes(Shapes.INPUTS), true);
      fill(type, weight);
      Linear linear = new Linear("w", OUTPUTS, Shapes.INPUTS, type, weight, null, null);
      kernels.put(type, backend.project(new Projection(List.of(linear)), Arena.global()));
    }
    for (int tokens : new int[] {1, 64}) {
      Race race = new Race(Math.min(rounds, 5));
      kernels.forEach((type, kernel) ->
          race.add(type.name(), tokens, () -> kernel.run(in, tokens, 0, OUTPUTS, out)));
      report.times(
          "project with weights as stored, " + tokens + " tokens, " + best, "token", race.run());
    }
    Limits.free(out);
    Limits.free(in);
  }

  /** Random codes without NaN, and scales of ordinary size; floats between 2^-7 and 2^-6. */
  private static void fill(RowType type, MemorySegment data) {
    SplittableRandom random = new SplittableRandom(3);
    long kept = 0x2f2f2f2f2f2f2f2fL;
    long set = 0;
    if (type == RowType.F32 || type == RowType.BF16) {
      // with a subnormal weight in 32, floats took 6 to 28 times as long (Emerald Rapids)
      kept = type == RowType.F32 ? 0x807fffff_807fffffL : 0x807f807f_807f807fL;
      set = type == RowType.F32 ? 0x3c000000_3c000000L : 0x3c003c00_3c003c00L;
    }
    for (long i = 0; i + 8 <= data.byteSize(); i += 8) {
      data.set(ValueLayout.JAVA_LONG_UNALIGNED, i, (random.nextLong() & kept) | set);
    }
    if (type == RowType.MXFP4) {
      for (long b = 0; b < data.byteSize(); b += type.blockBytes()) {
        data.set(ValueLayout.JAVA_BYTE, b, (byte) random.nextInt(110, 130));
      }
    }
  }
}
