package io.engram4j.bench.ratio;

import io.engram4j.format.E4m3;
import io.engram4j.kernel.Backend;
import io.engram4j.model.Dtype;
import io.engram4j.table.Table;
import io.engram4j.weights.Projection;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Comparator;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;

/**
 * Whether what is in tables and weights changes how long a stage takes: the same kernel on codes of
 * three kinds. Codes with exponent 0 are subnormal floats to a kernel that is careless, and cost
 * some CPUs a hundred cycles.
 */
final class DataRaces {
  /** What codes are drawn from. */
  private enum Codes {
    UNIFORM,
    NO_SUBNORMALS,
    GAUSSIAN
  }

  private static final int ROWS = 8192; // 2 MB, which the caches hold: decoding is what is measured
  private static final int GATHERED = 24 * 64;
  private static final int DRAWS = 1 << 16;

  private final Report report;
  private final int rounds;
  private final Map<String, Backend> backends;

  DataRaces(Report report, int rounds, Map<String, Backend> backends) {
    this.report = report;
    this.rounds = rounds;
    this.backends = backends;
  }

  void run() {
    gather();
    project();
  }

  private void gather() {
    Map<Codes, Table> tables = new EnumMap<>(Codes.class);
    for (Codes codes : Codes.values()) {
      MemorySegment data = Shapes.allocate((long) ROWS * Shapes.ROW_BYTES);
      fill(data, codes);
      for (long row = 0; row < ROWS; row++) {
        long scales = row * Shapes.ROW_BYTES + Shapes.HEAD_DIM;
        data.asSlice(scales, Shapes.ROW_BYTES - Shapes.HEAD_DIM).fill((byte) 113);
      }
      tables.put(codes, Shapes.table(ROWS, Shapes.HEAD_DIM, data));
    }
    MemorySegment ids = Shapes.allocate(8L * GATHERED);
    Shapes.fillIds(ids, GATHERED, ROWS);
    MemorySegment out = Shapes.allocate(4L * GATHERED * Shapes.HEAD_DIM);
    backends.forEach((name, backend) -> {
      Race race = new Race(rounds);
      tables.forEach((codes, table) -> {
        Backend.Gather gather = backend.gather(table, Arena.global());
        race.add(told(codes), GATHERED, () -> gather.run(ids, GATHERED, out, Dtype.F32));
      });
      tell("gather", name, "row", race.run());
    });
    Limits.free(out);
    Limits.free(ids);
  }

  private void project() {
    Map<Codes, Projection> weights = new EnumMap<>(Codes.class);
    for (Codes codes : Codes.values()) {
      Projection projection = Shapes.projection();
      fill(projection.parts().getFirst().weight(), codes);
      weights.put(codes, projection);
    }
    MemorySegment in = Shapes.decodedRows(64L * Shapes.INPUTS);
    MemorySegment out = Shapes.allocate(4L * 64 * Shapes.OUTPUTS);
    for (int tokens : new int[] {1, 64}) {
      backends.forEach((name, backend) -> {
        if (!name.equals("java")) {
          Race race = new Race(Math.min(rounds, 7));
          weights.forEach((codes, projection) -> {
            Backend.Project kernel = backend.project(projection, Arena.global());
            race.add(told(codes), tokens, () -> kernel.run(in, tokens, 0, Shapes.OUTPUTS, out));
          });
          tell("project" + tokens, name, "token", race.run());
        }
      });
    }
    weights.values().forEach(each -> Limits.free(each.parts().getFirst().weight()));
  }

  private void tell(String stage, String tier, String unit, Race.Times times) {
    report.times("data, " + stage + ", " + tier, unit, times);
    List<String> byTime =
        times.nanos().keySet().stream().sorted(Comparator.comparing(times::median)).toList();
    report.atMost(
        "data_sensitivity_" + stage + "_" + tier,
        stage + ", " + tier + ": " + byTime.getLast() + " / " + byTime.getFirst(),
        times.faster(byTime.getFirst(), byTime.getLast()),
        1.3,
        1.1);
  }

  private static String told(Codes codes) {
    return switch (codes) {
      case UNIFORM -> "uniform";
      case NO_SUBNORMALS -> "no subnormals";
      case GAUSSIAN -> "Gaussian";
    };
  }

  private static void fill(MemorySegment data, Codes codes) {
    SplittableRandom random = new SplittableRandom(11);
    byte[] draws = new byte[DRAWS];
    for (int i = 0; i < DRAWS; i++) {
      draws[i] = draw(codes, random);
    }
    for (long i = 0; i < data.byteSize() / 4; i++) {
      long bits = random.nextLong();
      for (int k = 0; k < 4; k++) {
        byte code = draws[(int) (bits >>> (16 * k)) & (DRAWS - 1)];
        data.set(ValueLayout.JAVA_BYTE, 4 * i + k, code);
      }
    }
  }

  private static byte draw(Codes codes, SplittableRandom random) {
    if (codes == Codes.GAUSSIAN) { // 448 are 4.5 deviations
      float value = (float) random.nextGaussian() * 100;
      int nearest = 0;
      for (int code = 1; code < 0x7f; code++) {
        float off = Math.abs(E4m3.toFloat(code) - Math.abs(value));
        nearest = off < Math.abs(E4m3.toFloat(nearest) - Math.abs(value)) ? code : nearest;
      }
      return (byte) (value < 0 ? nearest | 0x80 : nearest);
    }
    while (true) {
      int code = random.nextInt(256);
      boolean nan = (code & 0x7f) == 0x7f;
      boolean subnormal = (code & 0x78) == 0 && (code & 7) != 0;
      if (!nan && !(subnormal && codes == Codes.NO_SUBNORMALS)) {
        return (byte) code;
      }
    }
  }
}
