package io.engram4j.micrometer;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.EngramModel;
import io.engram4j.EngramSequence;
import io.engram4j.LayerStatistics;
import io.engram4j.hf.EngramDirectory;
import io.engram4j.kernel.java.JavaBackend;
import io.engram4j.table.Placement;
import io.engram4j.table.TableOptions;
import io.engram4j.tck.Golden;
import io.micrometer.core.instrument.FunctionCounter;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Meters show what a model's own counters have, and go when they are closed. */
class EngramMetricsTest {
  private final SimpleMeterRegistry registry = new SimpleMeterRegistry();

  @TempDir Path directory;

  private EngramModel open() throws IOException {
    Golden.extract(directory);
    TableOptions options =
        TableOptions.defaults().placement(Placement.STREAMED).cacheBytes(100_000);
    return EngramDirectory.read(directory.resolve("mini-v41")).open(new JavaBackend(), options);
  }

  private long counter(String name, int layer) {
    FunctionCounter counter =
        registry.get(name).tags("model", "mini", "layer", "" + layer).functionCounter();
    return (long) counter.count();
  }

  @Test
  @SuppressWarnings("try") // closing early is what it is about
  void metersShowTheModelsCounters() throws IOException {
    try (EngramModel model = open();
        EngramModel memo = model.withMemo(1 << 20);
        EngramMetrics metrics = new EngramMetrics(memo, "mini")) {
      metrics.bindTo(registry);
      EngramSequence sequence = memo.newSequence();
      for (int step = 0; step < 5; step++) {
        sequence.append(new int[] {1, 2, 3, 4, 5});
        sequence.prefetch(5);
        for (var layer : memo.layers()) {
          layer.apply(sequence, 5, new float[5 * memo.config().streamWidth()]);
        }
      }
      for (LayerStatistics layer : memo.statistics()) {
        int id = layer.layer();
        assertEquals(5, counter("engram.prefetches", id));
        assertTrue(layer.rows().rows() > 0 && layer.memo().hits() > 0, "something was counted");
        assertEquals(layer.rows().rows(), counter("engram.disk.rows", id));
        assertEquals(layer.rows().bytes(), counter("engram.disk.bytes", id));
        assertEquals(layer.rows().hits(), counter("engram.cache.hits", id));
        assertEquals(layer.rows().misses(), counter("engram.cache.misses", id));
        assertEquals(layer.memo().hits(), counter("engram.memo.hits", id));
        assertEquals(layer.memo().misses(), counter("engram.memo.misses", id));
        assertEquals(
            (double) layer.stalledNanos(),
            registry
                .get("engram.stalls")
                .tag("layer", "" + id)
                .functionTimer()
                .totalTime(TimeUnit.NANOSECONDS),
            1);
      }
      assertEquals(
          (double) memo.memory().cacheBytes(),
          registry.get("engram.memory").tag("kind", "caches").gauge().value());
      assertEquals(
          (double) memo.tables().getFirst().bytes(),
          registry
              .get("engram.table.size")
              .tags("layer", "1", "placement", "streamed")
              .gauge()
              .value());
      assertEquals(1, registry.get("engram.open").tag("backend", "java").gauge().value());
      memo.close();
      assertEquals(0, registry.get("engram.open").gauge().value());
    }
    assertEquals(List.of(), registry.getMeters());
  }

  @Test
  void aModelThatOnlyHashesIsOpenOrNot() throws IOException {
    Golden.extract(directory);
    try (EngramModel model =
            EngramDirectory.read(directory.resolve("mini-v41")).openForHashing(new JavaBackend());
        EngramMetrics metrics = new EngramMetrics(model, "mini")) {
      metrics.bindTo(registry);
      assertEquals(1, registry.getMeters().size());
      assertEquals(1, registry.get("engram.open").gauge().value());
    }
  }

  /** What is bound is on the operators' page, and the other way round. */
  @Test
  void everyMeterIsDocumented() throws IOException {
    TreeSet<String> names = new TreeSet<>();
    try (EngramModel model = open();
        EngramMetrics metrics = new EngramMetrics(model, "mini")) {
      metrics.bindTo(registry);
      registry.getMeters().forEach(meter -> names.add(meter.getId().getName()));
    }
    TreeSet<String> documented = new TreeSet<>();
    for (String line : Files.readAllLines(Path.of("../../docs/operating.md"))) {
      if (line.startsWith("| `engram.")) {
        for (String each : line.split("[|]", -1)[1].split(",", -1)) {
          documented.add(each.strip().replace("`", ""));
        }
      }
    }
    assertEquals(names, documented);
  }
}
