package io.engram4j.cli;

import io.engram4j.remote.Manifest;
import io.engram4j.remote.Manifest.SlicedTable;
import io.engram4j.remote.SlicedTables;
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
import org.jspecify.annotations.Nullable;

/** What other machines serve, and how long rows of them take. */
final class RemoteReport {
  private static final int SAMPLES = 41;

  private RemoteReport() {}

  /** Shows tables, slices and endpoints. */
  static void write(SlicedTables tables, Output output, Map<String, @Nullable Object> json)
      throws IOException {
    Manifest manifest = tables.manifest();
    List<List<String>> rows = new ArrayList<>();
    List<Map<String, Object>> objects = new ArrayList<>();
    for (SlicedTable table : manifest.tables()) {
      double millis = measure(tables, table.layer(), 24);
      Map<String, Object> object = new LinkedHashMap<>();
      object.put("layer", table.layer());
      object.put("dtype", table.type().toString());
      object.put("rows", table.rows());
      object.put("bytes", table.rows() * table.rowBytes());
      object.put("slices", table.slices().size());
      object.put("fetch_ms", millis);
      objects.add(object);
      rows.add(
          List.of(
              Integer.toString(table.layer()),
              Text.count(table.rows()) + " x " + table.headDim() + " " + table.type(),
              Text.bytes(table.rows() * table.rowBytes()),
              Integer.toString(table.slices().size()),
              String.format(Locale.ROOT, "%.3f", millis)));
    }
    output.line(
        "%s, revision %s, generation %s",
        manifest.model(), manifest.revision(), manifest.generation().substring(0, 12));
    output.table(List.of("layer", "remote table", "size", "slices", "ms for 24 rows"), rows);
    Map<String, Object> remote = new LinkedHashMap<>();
    remote.put("model", manifest.model());
    remote.put("revision", manifest.revision());
    remote.put("generation", manifest.generation());
    remote.put("tables", objects);
    remote.put("endpoints", RemoteOption.show(output, tables));
    json.put("remote", remote);
  }

  /** The median over random rows of a layer, none twice. */
  static double measure(SlicedTables tables, int layer, int rows) throws IOException {
    SlicedTable table = tables.manifest().table(layer);
    var source = tables.open(layer).source();
    double[] millis = new double[SAMPLES];
    SplittableRandom random = new SplittableRandom();
    try (Arena arena = Arena.ofShared()) {
      MemorySegment ids = arena.allocate(8L * rows, 64);
      MemorySegment to = arena.allocate((long) rows * table.rowBytes(), 64);
      for (int sample = 0; sample < SAMPLES; sample++) {
        for (int i = 0; i < rows; i++) {
          ids.setAtIndex(ValueLayout.JAVA_LONG, i, random.nextLong(table.rows()));
        }
        long start = System.nanoTime();
        source.read(ids, rows, to);
        millis[sample] = (System.nanoTime() - start) / 1e6;
      }
    }
    Arrays.sort(millis);
    return millis[SAMPLES / 2];
  }
}
