package io.engram4j.cli;

import io.engram4j.hf.ModelFiles;
import io.engram4j.remote.SlicedTables;
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
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Shows which placements a machine has room for, and what fetching a token's rows takes. */
@Command(
    name = "plan",
    header = "Show what each placement of a model's tables needs, and whether it fits.",
    description =
        "Also how long the rows of one token take to fetch from where they are now, with nothing"
            + " fetched ahead.")
final class PlanCommand implements Callable<Integer> {
  private static final int SAMPLES = 41;

  @Mixin ModelOptions model = new ModelOptions();
  @Mixin RemoteOption remote = new RemoteOption();
  @Mixin Output output = new Output();

  @Option(
      names = "--memory",
      paramLabel = "SIZE",
      description = "Plan for so much memory, such as 64g (default: what is available here).")
  @Nullable String memory;

  @Override
  public Integer call() throws IOException {
    long available = memory == null ? TableOpener.availableMemory() : bytes(memory);
    ModelFiles directory = model.read();
    try (SlicedTables tables = remote.connect()) {
      if (tables != null) {
        return planRemote(directory, tables);
      }
    }
    List<TableFile> files = new ArrayList<>();
    for (int layer : directory.config().layerIds()) {
      files.add(directory.tableFile(layer));
    }
    int columns = directory.config().columns();
    long all = files.stream().mapToLong(TableFile::bytes).sum();
    boolean packed = files.stream().allMatch(TableFile::isInterleaved);
    long reads = (long) files.size() * columns * (packed ? 1 : 2);
    output.line(
        "%s tables of %s, %s rows a token, %s reads of them if none is in memory (%s)",
        Text.count(files.size()),
        Text.bytes(all),
        Text.count((long) files.size() * columns),
        Text.count(reads),
        packed ? "packed" : "shards: elements and scales apart; engram pack halves them");
    output.line("memory: %s", Text.bytes(available));
    output.line("");
    List<List<String>> table = new ArrayList<>();
    List<Map<String, Object>> objects = new ArrayList<>();
    for (Placement placement : Placement.ofFiles()) {
      if (placement == Placement.AUTO) {
        continue;
      }
      long needs = placement.copies() ? all : 0;
      double millis = placement.copies() ? Double.NaN : measure(files, placement, columns);
      boolean fits = needs <= available;
      Map<String, Object> object = new LinkedHashMap<>();
      object.put("placement", placement.toString());
      object.put("memory_bytes", needs);
      object.put("fits", fits);
      object.put("fetch_ms_per_token", Double.isNaN(millis) ? null : millis);
      objects.add(object);
      table.add(
          List.of(
              placement.toString(),
              placement.copies() ? Text.bytes(needs) : "none",
              fits ? "yes" : "no",
              Double.isNaN(millis) ? "" : String.format(Locale.ROOT, "%.3f", millis)));
    }
    output.table(List.of("placement", "memory it needs", "fits", "ms to fetch a token"), table);
    Placement auto = TableOpener.automatic(all, available);
    output.line("");
    output.line("auto would take %s", auto);
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("bytes", all);
    json.put("memory_bytes", available);
    json.put("reads_per_token", reads);
    json.put("placements", objects);
    json.put("auto", auto.toString());
    output.json(json);
    return 0;
  }

  /** With tables elsewhere there is one placement, and no memory to plan with. */
  private int planRemote(ModelFiles directory, SlicedTables tables) throws IOException {
    int columns = directory.config().columns();
    double millis = 0;
    for (int layer : directory.config().layerIds()) {
      millis += RemoteReport.measure(tables, layer, columns);
    }
    Map<String, @Nullable Object> json = new LinkedHashMap<>();
    json.put("bytes", tables.manifest().bytes());
    json.put("fetch_ms_per_token", millis);
    output.line(
        "%s of tables on other machines; the rows of a token, layer by layer: %.3f ms",
        Text.bytes(tables.manifest().bytes()), millis);
    output.line("");
    RemoteReport.write(tables, output, json);
    output.json(json);
    return 0;
  }

  /** The median over random tokens, all layers one after the other. */
  private static double measure(List<TableFile> files, Placement placement, int columns)
      throws IOException {
    double[] millis = new double[SAMPLES];
    SplittableRandom random = new SplittableRandom();
    for (TableFile file : files) {
      TableOptions options = TableOptions.defaults().placement(placement);
      try (Arena arena = Arena.ofShared();
          HeldTable held = new TableOpener(options).open(file, file.bytes(), arena)) {
        Table table = held.table();
        MemorySegment ids = arena.allocate(8L * columns, 64);
        MemorySegment rows = arena.allocate(columns * table.rowBytes(), 64);
        for (int sample = 0; sample < SAMPLES; sample++) {
          for (int i = 0; i < columns; i++) {
            ids.setAtIndex(ValueLayout.JAVA_LONG, i, random.nextLong(table.rows()));
          }
          long start = System.nanoTime();
          table.read(ids, columns, rows);
          millis[sample] += (System.nanoTime() - start) / 1e6;
        }
      }
    }
    Arrays.sort(millis);
    return millis[SAMPLES / 2];
  }

  /** Reads a size such as 64g, 512m or 1000000. */
  static long bytes(String text) {
    String lower = text.strip().toLowerCase(Locale.ROOT);
    int unit = lower.isEmpty() ? -1 : "kmgt".indexOf(lower.charAt(lower.length() - 1));
    String digits = unit < 0 ? lower : lower.substring(0, lower.length() - 1);
    try {
      long number = Long.parseLong(digits.strip());
      long bytes = Math.multiplyExact(number, 1L << (unit < 0 ? 0 : 10 * (unit + 1)));
      if (bytes >= 0) {
        return bytes;
      }
    } catch (NumberFormatException | ArithmeticException e) {
      throw new IllegalArgumentException(text + " is no size such as 64g", e);
    }
    throw new IllegalArgumentException(text + " is no size such as 64g");
  }
}
