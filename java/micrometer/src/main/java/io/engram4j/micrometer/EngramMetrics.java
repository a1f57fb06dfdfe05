package io.engram4j.micrometer;

import io.engram4j.EngramModel;
import io.engram4j.LayerStatistics;
import io.engram4j.MemoryStatistics;
import io.engram4j.TableInfo;
import io.micrometer.core.instrument.FunctionCounter;
import io.micrometer.core.instrument.FunctionTimer;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.Meter;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Tag;
import io.micrometer.core.instrument.Tags;
import io.micrometer.core.instrument.binder.BaseUnits;
import io.micrometer.core.instrument.binder.MeterBinder;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import java.util.function.ToDoubleFunction;

/**
 * Meters of one model, or of one view of it, by its name: {@code docs/operating.md} lists them.
 * They are read when the registry is, from counters that the model keeps anyhow, and cost the calls
 * nothing. Thread-safe. Does not own the model; close this when that is closed, so that another of
 * the same name can take its place.
 */
public final class EngramMetrics implements MeterBinder, AutoCloseable {
  private final EngramModel model;
  private final Tags tags;
  private final List<Bound> bound = new CopyOnWriteArrayList<>();

  /** A meter, and where it is. */
  private record Bound(MeterRegistry registry, Meter meter) {}

  /**
   * Meters of a model.
   *
   * @param name the tag {@code model}, such as the directory's name
   */
  public EngramMetrics(EngramModel model, String name) {
    this.model = model;
    this.tags = Tags.of("model", name, "backend", model.backendName());
  }

  @Override
  public void bindTo(MeterRegistry registry) {
    gauge(registry, "engram.open", "1 if the model takes calls", m -> m.isOpen() ? 1 : 0);
    if (model.tables().isEmpty()) {
      return;
    }
    memory(registry, "tables", MemoryStatistics::tableBytes);
    memory(registry, "caches", MemoryStatistics::cacheBytes);
    memory(registry, "memos", MemoryStatistics::memoBytes);
    memory(registry, "buffers", MemoryStatistics::bufferBytes);
    List<TableInfo> tables = model.tables();
    for (int i = 0; i < tables.size(); i++) {
      table(registry, tables.get(i));
      layer(registry, i, tags.and("layer", Integer.toString(tables.get(i).layer())));
    }
  }

  private void table(MeterRegistry registry, TableInfo table) {
    Tags own =
        tags.and(
            Tag.of("layer", Integer.toString(table.layer())),
            Tag.of("placement", table.placement().map(Object::toString).orElse("caller")));
    add(
        registry,
        Gauge.builder("engram.table.size", table, TableInfo::bytes)
            .description("rows of a layer with their scales, in one copy")
            .baseUnit(BaseUnits.BYTES)
            .strongReference(true)
            .tags(own)
            .register(registry));
  }

  private void memory(
      MeterRegistry registry, String kind, ToDoubleFunction<MemoryStatistics> bytes) {
    add(
        registry,
        Gauge.builder("engram.memory", model, m -> bytes.applyAsDouble(m.memory()))
            .description("memory that the model holds; mapped tables count whole")
            .baseUnit(BaseUnits.BYTES)
            .tags(tags.and("kind", kind))
            .register(registry));
  }

  private void layer(MeterRegistry registry, int index, Tags own) {
    Layer layer = new Layer(registry, index, own);
    layer.count("engram.prefetches", "batches whose rows were fetched ahead", l -> l.prefetches());
    layer.count(
        "engram.prefetches.late", "of them, those that no thread had begun", l -> l.begunLate());
    add(
        registry,
        FunctionTimer.builder(
                "engram.stalls",
                model,
                m -> statistics(m, index).stalls(),
                m -> statistics(m, index).stalledNanos(),
                TimeUnit.NANOSECONDS)
            .description("calls that waited for rows fetched ahead")
            .tags(own)
            .register(registry));
    layer.count("engram.disk.rows", "rows read from files", l -> l.rows().rows());
    layer.count("engram.disk.reads", "reads that this took", l -> l.rows().reads());
    layer.count("engram.disk.bytes", "bytes read", l -> l.rows().bytes());
    layer.count("engram.cache.hits", "rows that a cache had", l -> l.rows().hits());
    layer.count("engram.cache.misses", "rows that it had not", l -> l.rows().misses());
    layer.count("engram.cache.evictions", "rows that it gave up", l -> l.rows().evictions());
    layer.bytes("engram.cache.size", "rows that it holds", l -> l.rows().cachedBytes());
    layer.count("engram.memo.hits", "n-grams that were remembered", l -> l.memo().hits());
    layer.count("engram.memo.misses", "n-grams that were projected", l -> l.memo().misses());
    layer.count("engram.memo.evictions", "n-grams that were given up", l -> l.memo().evictions());
    layer.bytes("engram.memo.size", "what is remembered", l -> l.memo().bytes());
  }

  private static LayerStatistics statistics(EngramModel model, int index) {
    return model.statistics().get(index);
  }

  /** Makes meters of one layer. */
  private final class Layer {
    private final MeterRegistry registry;
    private final int index;
    private final Tags own;

    Layer(MeterRegistry registry, int index, Tags own) {
      this.registry = registry;
      this.index = index;
      this.own = own;
    }

    void count(String name, String what, ToDoubleFunction<LayerStatistics> value) {
      add(
          registry,
          FunctionCounter.builder(name, model, m -> value.applyAsDouble(statistics(m, index)))
              .description(what)
              .tags(own)
              .register(registry));
    }

    void bytes(String name, String what, ToDoubleFunction<LayerStatistics> value) {
      add(
          registry,
          Gauge.builder(name, model, m -> value.applyAsDouble(statistics(m, index)))
              .description(what)
              .baseUnit(BaseUnits.BYTES)
              .tags(own)
              .register(registry));
    }
  }

  private void gauge(
      MeterRegistry registry, String name, String what, ToDoubleFunction<EngramModel> value) {
    add(
        registry,
        Gauge.builder(name, model, value).description(what).tags(tags).register(registry));
  }

  private void add(MeterRegistry registry, Meter meter) {
    bound.add(new Bound(registry, meter));
  }

  /** Takes the meters out of the registries. Closing twice does nothing. */
  @Override
  public void close() {
    for (Bound each : bound) {
      each.registry.remove(each.meter);
    }
    bound.clear();
  }
}
