package io.engram4j.bench.ratio;

import static io.engram4j.bench.ratio.Shapes.COLUMNS;
import static io.engram4j.bench.ratio.Shapes.HEAD_DIM;
import static io.engram4j.bench.ratio.Shapes.ROW_BYTES;

import io.engram4j.kernel.Backend;
import io.engram4j.model.Dtype;
import io.engram4j.model.LayerLayout;
import io.engram4j.table.Table;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Map;

/** Hash against divisions, and gather against touching the same number of random rows. */
final class RowRaces {
  private static final int TOKENS = 512;

  /** Tokens of a round: so many that it needs no repeating, which would find its rows cached. */
  private static final int GATHERED = 8192;

  private final Report report;
  private final int rounds;
  private final Map<String, Backend> backends;
  private final String best;

  /** A part of the benchmark; {@code best} names the default backend. */
  RowRaces(Report report, int rounds, Map<String, Backend> backends, String best) {
    this.report = report;
    this.rounds = rounds;
    this.backends = backends;
    this.best = best;
  }

  void hash(LayerLayout layout) {
    Shapes.Numbers numbers = Shapes.Numbers.of(layout);
    MemorySegment ids = Shapes.allocate(8L * COLUMNS * TOKENS);
    for (int tokens : new int[] {1, 8, 64, TOKENS}) {
      MemorySegment windows = Shapes.windows(tokens);
      Runnable fresh = () -> Shapes.fillWindows(windows, tokens);
      Race race = new Race(rounds);
      double columns = (double) COLUMNS * tokens;
      race.add("C divisions", columns, fresh, () -> Limits.divide(windows, numbers, tokens, ids));
      backends.forEach((name, backend) -> {
        Backend.Hash hash = backend.hash(layout, Arena.global());
        race.add(name, columns, fresh, () -> hash.run(windows, tokens, ids));
      });
      Race.Times times = race.run();
      report.times("hash, " + tokens + " tokens", "column", times);
      if (tokens == TOKENS) {
        report.atLeast("hash_vs_java_rem", "hash / Java `%`", times.faster(best, "java"), 6, 10);
        report.atLeast("hash_vs_c_idiv", "hash / C idiv", times.faster(best, "C divisions"), 4, 6);
      }
    }
  }

  /** Gathers to where the next stage reads: one token after the other to the same place. */
  void gather(long rows, MemorySegment data, boolean huge) {
    String pages = huge ? "huge pages" : "4 KiB pages";
    Table table = Shapes.table(rows, HEAD_DIM, data);
    long count = (long) GATHERED * COLUMNS;
    MemorySegment ids = Shapes.allocate(8 * count);
    MemorySegment out = Shapes.allocate(4L * TOKENS * COLUMNS * HEAD_DIM);
    Runnable fresh = () -> Shapes.fillIds(ids, count, rows);
    for (int tokens : new int[] {1, 8, 64, TOKENS}) {
      Race race = new Race(rounds);
      race.add("touching", (double) count, fresh, () -> Limits.touch(data, ROW_BYTES, ids, count));
      backends.forEach((name, backend) -> {
        if (!name.equals("java")) {
          Backend.Gather gather = backend.gather(table, Arena.global());
          race.add(name, (double) count, fresh, () -> inCalls(gather, tokens, ids, out));
        }
      });
      Race.Times times = race.run();
      report.times("gather, " + pages + ", " + tokens + " tokens a call", "row", times);
      if (tokens == 1 && huge) {
        report.atLeast(
            "gather_vs_touch_thp",
            "gather / touching, huge pages",
            times.faster(best, "touching"),
            0.6,
            0.8);
      } else if (tokens == 1) {
        report.atLeast(
            "gather_vs_touch_4k",
            "gather / touching, 4 KiB pages",
            times.faster(best, "touching"),
            0.65,
            1.0);
      }
    }
    Limits.free(out);
    Limits.free(ids);
  }

  /** The paper's rows of 64, in a table that the caches hold. */
  void gatherOfTheDemo() {
    long rows = 10_000;
    int width = Shapes.DEMO_HEAD_DIM;
    MemorySegment data = Shapes.rows(rows, width, true);
    Table table = Shapes.table(rows, width, data);
    long count = 8L * 16;
    MemorySegment ids = Shapes.allocate(8 * count);
    MemorySegment out = Shapes.allocate(4 * count * width);
    Runnable fresh = () -> Shapes.fillIds(ids, count, rows);
    Race race = new Race(rounds);
    race.add("touching", (double) count, fresh, () -> Limits.touch(data, width + 2, ids, count));
    backends.forEach((name, backend) -> {
      Backend.Gather gather = backend.gather(table, Arena.global());
      race.add(name, (double) count, fresh, () -> gather.run(ids, count, out, Dtype.F32));
    });
    report.times("gather, demo width, table in cache, 8 tokens a call", "row", race.run());
    Limits.free(data);
  }

  private static void inCalls(
      Backend.Gather gather, int tokens, MemorySegment ids, MemorySegment out) {
    long count = (long) tokens * COLUMNS;
    for (int first = 0; first < GATHERED; first += tokens) {
      gather.run(ids.asSlice(8L * COLUMNS * first), count, out, Dtype.F32);
    }
  }
}
