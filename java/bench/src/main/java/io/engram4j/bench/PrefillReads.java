package io.engram4j.bench;

import io.engram4j.model.LayerLayout;
import io.engram4j.table.Placement;
import io.engram4j.table.Table;
import io.engram4j.table.TableOptions;
import io.engram4j.table.io.HeldTable;
import io.engram4j.table.io.TableFile;
import io.engram4j.table.io.TableOpener;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The rows of a prefill, 2,048 tokens of one V4.1 layer, from a cold file: all at once, at several
 * depths, against row by row, and against what fio, if it is installed, gets from the same file at
 * the same block size. Rows a second; all take turns.
 *
 * <p>Arguments: a directory on the disk to be measured, gigabytes of table (8), rounds (5).
 */
final class PrefillReads {
  private static final int TOKENS = 2048;
  private static final int COLUMNS = 24;
  private static final int ONE_BY_ONE = 2400; // enough to see the rate

  private final TableFile file;
  private final SplittableRandom random = new SplittableRandom(5);
  private final Map<String, List<Double>> rates = new LinkedHashMap<>();
  private final MemorySegment ids = Arena.global().allocate(8L * TOKENS * COLUMNS, 64);
  private final MemorySegment rows;

  private PrefillReads(TableFile file) {
    this.file = file;
    this.rows = Arena.global().allocate((long) TOKENS * COLUMNS * file.rowBytes(), 64);
  }

  static void run(Path directory, LayerLayout layout, int rounds) throws IOException {
    PrefillReads reads = new PrefillReads(DecodeWeights.table(directory, layout));
    for (int round = -1; round < rounds; round++) {
      reads.round();
      if (round < 0) {
        reads.rates.clear(); // the compiler's turn
      }
    }
    reads.show();
  }

  private void round() throws IOException {
    for (int depth : new int[] {1, 32, 128}) {
      TableOptions options =
          TableOptions.defaults().placement(Placement.STREAMED).queueDepth(depth);
      read("streamed, all at once, depth " + depth, options, TOKENS * COLUMNS, true);
    }
    TableOptions streamed = TableOptions.defaults().placement(Placement.STREAMED);
    read("streamed, row by row", streamed, ONE_BY_ONE, false);
    TableOptions mapped = TableOptions.defaults().placement(Placement.MAPPED);
    if (DecodeLoop.dropCache()) {
      read("mapped cold, all at once", mapped, TOKENS * COLUMNS, true);
      DecodeLoop.dropCache();
      read("mapped cold, row by row", mapped, ONE_BY_ONE, false);
    }
    fio(32);
    fio(128);
  }

  private void read(String name, TableOptions options, int count, boolean atOnce)
      throws IOException {
    for (int i = 0; i < count; i++) {
      ids.setAtIndex(ValueLayout.JAVA_LONG, i, random.nextLong(file.rows()));
    }
    try (Arena arena = Arena.ofShared();
        HeldTable held = new TableOpener(options).open(file, 1, arena)) {
      Table table = held.table();
      long start = System.nanoTime();
      if (atOnce) {
        table.read(ids, count, rows);
      } else {
        for (int i = 0; i < count; i++) {
          table.read(ids.asSlice(8L * i), 1, rows);
        }
      }
      double seconds = (System.nanoTime() - start) / 1e9;
      put(name + (name.startsWith("s") ? " (" + held.description() + ")" : ""), count / seconds);
    }
  }

  private void put(String name, double rate) {
    rates.computeIfAbsent(name, n -> new ArrayList<>()).add(rate);
  }

  /** Random reads of 4 KiB past the page cache, one job. */
  private void fio(int depth) throws IOException {
    List<String> command =
        List.of(
            "fio",
            "--name=rows",
            "--filename=" + file.weight().file(),
            "--readonly",
            "--rw=randread",
            "--bs=4k",
            "--direct=1",
            "--ioengine=io_uring",
            "--iodepth=" + depth,
            "--runtime=2",
            "--time_based",
            "--output-format=terse");
    try {
      Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
      String out = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
      Matcher line = Pattern.compile("(?m)^3;(.*)$").matcher(out);
      if (line.find()) {
        put("fio, depth " + depth, Double.parseDouble(line.group(1).split(";", -1)[6]));
      }
    } catch (IOException e) {
      return; // not installed
    }
  }

  private void show() {
    System.out.printf(Locale.ROOT, "%-78s %10s %10s %10s%n", "rows from", "rows/s", "min", "max");
    rates.forEach((name, all) ->
        System.out.printf(
            Locale.ROOT,
            "%-78s %,10.0f %,10.0f %,10.0f%n",
            name,
            DecodeLoop.median(all),
            Collections.min(all),
            Collections.max(all)));
  }
}
