package io.engram4j.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.EngramBatch;
import io.engram4j.EngramLayer;
import io.engram4j.cuda.CudaOptions.Tables;
import io.engram4j.model.Dtype;
import io.engram4j.model.HiddenStream;
import io.engram4j.table.Placement;
import io.engram4j.table.RowSeed;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.LongStream;
import jdk.jfr.Recording;
import jdk.jfr.consumer.RecordedEvent;
import jdk.jfr.consumer.RecordingFile;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** A model on a device against the Java backend. */
class CudaModelTest extends CudaFixture {
  @ParameterizedTest
  @EnumSource(Tables.class)
  void equalsTheHost(Tables tables) {
    for (Dtype type : List.of(Dtype.F32, Dtype.BF16)) {
      CudaOptions options = CudaOptions.defaults().tables(tables).rows(type);
      EngramBatch batch = batch(TOKENS);
      MemorySegment data = stream(TOKENS, type);
      try (CudaModel cuda = CudaModel.open(model, 0, options);
          CudaStep step = cuda.newStep(16);
          OnDevice device = new OnDevice(data, type)) {
        step.prefetch(batch);
        device.apply(step);
        HiddenStream expected = onHost(batch, data, type);
        HiddenStream actual = device.result();
        requireRows(step, batch, device, type);
        if (type == Dtype.F32) { // rows of BF16 are other rows
          requireClose(expected, actual, TOKENS);
        }
        Tables held = tables == Tables.AUTO ? Tables.HOST : tables;
        for (CudaStatistics each : cuda.statistics()) {
          assertEquals(held, each.held());
          assertEquals((long) TOKENS * model.config().columns(), each.rows());
        }
        assertTrue(cuda.deviceBytes() > 0);
      }
    }
  }

  /** In BF16 streams too, with rows as the host has them. */
  @Test
  void bfloatStreamsEqualTheHost() {
    EngramBatch batch = batch(TOKENS);
    MemorySegment data = stream(TOKENS, Dtype.BF16);
    try (CudaModel cuda = CudaModel.open(model, 0, CudaOptions.defaults());
        CudaStep step = cuda.newStep(TOKENS);
        OnDevice device = new OnDevice(data, Dtype.BF16)) {
      step.prefetch(batch);
      device.apply(step);
      requireClose(onHost(batch, data, Dtype.BF16), device.result(), TOKENS);
    }
  }

  /** Everything is queued before anything runs, and two steps take turns. */
  @Test
  void stepsThatOverlapWaitForEachOtherOnTheDeviceAlone() {
    for (Tables tables : List.of(Tables.HOST, Tables.DEVICE)) {
      try (CudaModel cuda =
              CudaModel.open(model, 0, CudaOptions.defaults().tables(tables).gatherBlocks(2));
          CudaStep one = cuda.newStep(TOKENS);
          CudaStep two = cuda.newStep(TOKENS)) {
        List<EngramBatch> batches = new ArrayList<>();
        List<MemorySegment> data = new ArrayList<>();
        List<OnDevice> devices = new ArrayList<>();
        for (int i = 0; i < 6; i++) {
          int tokens = 1 + i * 3 % TOKENS;
          batches.add(batch(tokens));
          data.add(stream(tokens, Dtype.F32));
          devices.add(new OnDevice(data.get(i), Dtype.F32));
        }
        long allocations = Shim.count(Shim.Count.ALLOCATION);
        long launches = Shim.count(Shim.Count.LAUNCH);
        long waits = Shim.count(Shim.Count.WAIT);
        for (int i = 0; i < 6; i++) {
          CudaStep step = i % 2 == 0 ? one : two;
          step.prefetch(batches.get(i));
          devices.get(i).apply(step);
          if (i == 1) {
            assertEquals(waits, Shim.count(Shim.Count.WAIT), "nothing has waited");
          }
        }
        // from its second batch on, a step waits until the ids of the first were sent
        assertEquals(waits + 4, Shim.count(Shim.Count.WAIT), "pinned memory is used again");
        assertEquals(allocations, Shim.count(Shim.Count.ALLOCATION));
        // hash of all layers, and for each layer gather, project, gate
        assertEquals(launches + 6 * (1 + 2 * 3), Shim.count(Shim.Count.LAUNCH));
        for (int i = 0; i < 6; i++) {
          int tokens = batches.get(i).tokens();
          requireClose(
              onHost(batches.get(i), data.get(i), Dtype.F32), devices.get(i).result(), tokens);
        }
        devices.forEach(OnDevice::close);
      }
    }
  }

  /** An engine that projects the rows itself, and hands key and value over as it has them. */
  @Test
  void anEngineMayProjectTheRowsItself() {
    EngramBatch batch = batch(TOKENS);
    MemorySegment data = stream(TOKENS, Dtype.F32);
    try (CudaModel cuda = CudaModel.open(model, 0, CudaOptions.defaults());
        CudaStep step = cuda.newStep(TOKENS);
        DeviceMemory engine = new DeviceMemory(0);
        OnDevice device = new OnDevice(data, Dtype.F32)) {
      step.prefetch(batch);
      for (EngramLayer layer : model.layers()) {
        step.await(layer.id(), device.stream);
        byte[] rows = device.read(step.rows(layer.id()), 4L * TOKENS * model.config().rowWidth());
        MemorySegment kv = Arena.ofAuto().allocate(4L * TOKENS * model.config().kvWidth());
        layer.project(MemorySegment.ofArray(rows), TOKENS, kv);
        MemorySegment own = engine.upload(kv);
        CudaHidden hidden = CudaHidden.of(device.hidden, Dtype.F32, 4, 96);
        step.gate(layer.id(), device.stream, own, Dtype.F32, hidden);
        step.release(layer.id(), device.stream);
      }
      requireClose(onHost(batch, data, Dtype.F32), device.result(), TOKENS);
    }
  }

  @Test
  void seededRowsAreFoundOnTheDevice() {
    Map<String, long[]> all =
        Map.of(
            model.layers().getFirst().weights().table().name(),
            LongStream.range(0, model.layers().getFirst().layout().rows()).toArray());
    CudaOptions options = CudaOptions.defaults().cache(1 << 20, new RowSeed(all));
    EngramBatch batch = batch(TOKENS);
    MemorySegment data = stream(TOKENS, Dtype.F32);
    try (CudaModel cuda = CudaModel.open(model, 0, options);
        CudaStep step = cuda.newStep(TOKENS);
        OnDevice device = new OnDevice(data, Dtype.F32)) {
      step.prefetch(batch);
      device.apply(step);
      requireClose(onHost(batch, data, Dtype.F32), device.result(), TOKENS);
      requireRows(step, batch, device, Dtype.F32);
      CudaStatistics first = cuda.statistics().getFirst();
      CudaStatistics last = cuda.statistics().getLast();
      int rows = TOKENS * model.config().columns();
      assertEquals(rows, first.hits() + first.misses());
      assertTrue(first.hits() > rows * 9 / 10, first.toString());
      assertEquals(0, last.hits());
      assertEquals(rows, last.misses());
    }
  }

  @Test
  void streamedTablesAreSentByTheHost() {
    model.close();
    model = open(Placement.STREAMED);
    EngramBatch batch = batch(TOKENS);
    MemorySegment data = stream(TOKENS, Dtype.F32);
    try (CudaModel cuda = CudaModel.open(model, 0, CudaOptions.defaults());
        CudaStep step = cuda.newStep(TOKENS);
        OnDevice device = new OnDevice(data, Dtype.F32)) {
      for (int round = 0; round < 3; round++) {
        step.prefetch(batch);
        step.await(1, device.stream);
        step.await(14, device.stream);
        requireRows(step, batch, device, Dtype.F32);
      }
      device.apply(step);
      requireClose(onHost(batch, data, Dtype.F32), device.result(), TOKENS);
      assertEquals(
          "it is streamed, or of a backend that maps no files",
          cuda.statistics().getFirst().reason());
      assertEquals(Tables.STAGED, cuda.statistics().getFirst().held());
    }
    assertThrows(
        IllegalStateException.class,
        () -> CudaModel.open(model, 0, CudaOptions.defaults().tables(Tables.HOST)).close());
  }

  /** What an engine captures into a graph launches kernels and does nothing else. */
  @Test
  void projectAndGateAreLaunchesAlone() {
    try (CudaModel cuda = CudaModel.open(model, 0, CudaOptions.defaults());
        CudaStep step = cuda.newStep(TOKENS);
        OnDevice device = new OnDevice(stream(TOKENS, Dtype.F32), Dtype.F32)) {
      step.prefetch(batch(TOKENS));
      step.await(1, device.stream);
      long launches = Shim.count(Shim.Count.LAUNCH);
      long others = Shim.count(Shim.Count.OTHER);
      long waits = Shim.count(Shim.Count.WAIT);
      step.project(1, device.stream);
      step.gate(1, device.stream, CudaHidden.of(device.hidden, Dtype.F32, 4, 96));
      assertEquals(launches + 2, Shim.count(Shim.Count.LAUNCH));
      assertEquals(others, Shim.count(Shim.Count.OTHER));
      assertEquals(waits, Shim.count(Shim.Count.WAIT));
    }
  }

  /** Pages are registered once, however many read them. */
  @Test
  void twoModelsOnOneTableShareItsRegistration() {
    EngramBatch batch = batch(TOKENS);
    MemorySegment data = stream(TOKENS, Dtype.F32);
    try (CudaModel one = CudaModel.open(model, 0, CudaOptions.defaults())) {
      long registered = Shim.count(Shim.Count.REGISTRATIONS);
      try (CudaModel two = CudaModel.open(model, 0, CudaOptions.defaults())) {
        assertEquals(registered, Shim.count(Shim.Count.REGISTRATIONS));
        assertEquals(Tables.HOST, two.statistics().getFirst().held());
      }
      assertEquals(registered, Shim.count(Shim.Count.REGISTRATIONS));
      try (CudaStep step = one.newStep(TOKENS);
          OnDevice device = new OnDevice(data, Dtype.F32)) {
        step.prefetch(batch);
        device.apply(step);
        requireClose(onHost(batch, data, Dtype.F32), device.result(), TOKENS);
      }
    }
  }

  /** Of more rows than slots those named first are held, in each set. */
  @Test
  void theMostWantedRowsAreSeeded() {
    String table = model.layers().getFirst().weights().table().name();
    int rows = (int) model.layers().getFirst().layout().rows();
    CudaOptions options =
        CudaOptions.defaults()
            .cache(8 * 16 * 60, new RowSeed(Map.of(table, LongStream.range(0, rows).toArray())));
    EngramBatch batch = batch(TOKENS);
    try (CudaModel cuda = CudaModel.open(model, 0, options);
        CudaStep step = cuda.newStep(TOKENS)) {
      step.prefetch(batch);
      CudaStatistics first = cuda.statistics().getFirst();
      assertEquals((long) TOKENS * model.config().columns(), first.hits() + first.misses());
      assertTrue(first.hits() > 0 && first.misses() > 0, first.toString());
    }
  }

  /** What a step has looked up is there for the next, behind what a seed has put there for good. */
  @Test
  void rowsThatWereLookedUpAreFoundOnTheDevice() {
    String table = model.layers().getFirst().weights().table().name();
    RowSeed seed = new RowSeed(Map.of(table, new long[] {1, 2, 3}));
    for (CudaOptions options :
        List.of(
            CudaOptions.defaults().cacheLookups(1 << 20),
            CudaOptions.defaults().cache(1 << 20, seed).cacheLookups(1 << 20))) {
      EngramBatch batch = batch(TOKENS);
      MemorySegment data = stream(TOKENS, Dtype.F32);
      try (CudaModel cuda = CudaModel.open(model, 0, options);
          CudaStep step = cuda.newStep(TOKENS);
          OnDevice device = new OnDevice(data, Dtype.F32)) {
        step.prefetch(batch);
        List<CudaStatistics> first = cuda.statistics();
        step.prefetch(batch);
        device.apply(step);
        requireRows(step, batch, device, Dtype.F32);
        requireClose(onHost(batch, data, Dtype.F32), device.result(), TOKENS);
        List<CudaStatistics> second = cuda.statistics();
        long rows = (long) TOKENS * model.config().columns();
        for (int layer = 0; layer < LAYERS.size(); layer++) {
          assertEquals(rows, first.get(layer).hits() + first.get(layer).misses());
          assertEquals(rows, second.get(layer).hits() - first.get(layer).hits());
        }
        assertTrue(first.getLast().misses() > 0, first.toString());
      }
    }
  }

  /** In a cache of one set rows push each other out. */
  @Test
  void aSmallCacheOfLookupsGivesTheRightRows() {
    long set = 8 * (48 + 8);
    try (CudaModel cuda = CudaModel.open(model, 0, CudaOptions.defaults().cacheLookups(set));
        CudaStep step = cuda.newStep(TOKENS);
        OnDevice device = new OnDevice(stream(1, Dtype.F32), Dtype.F32)) {
      for (int round = 0; round < 10; round++) {
        EngramBatch batch = batch(TOKENS);
        step.prefetch(batch);
        LAYERS.forEach(layer -> step.await(layer, device.stream));
        requireRows(step, batch, device, Dtype.F32);
      }
      assertTrue(cuda.statistics().getFirst().misses() > 0);
    }
  }

  @Test
  void lookupsShowInTheFlightRecorder(@TempDir Path folder) throws IOException {
    Path file = folder.resolve("lookups.jfr");
    CudaOptions options = CudaOptions.defaults().tables(Tables.STAGED);
    try (Recording recording = new Recording();
        CudaModel cuda = CudaModel.open(model, 0, options);
        CudaStep step = cuda.newStep(TOKENS)) {
      recording.enable("io.engram4j.CudaPrefetch");
      recording.start();
      step.prefetch(batch(TOKENS));
      recording.stop();
      recording.dump(file);
    }
    List<RecordedEvent> events = RecordingFile.readAllEvents(file);
    assertEquals(1, events.size());
    assertEquals(TOKENS, events.getFirst().getInt("tokens"));
    assertEquals(LAYERS.size(), events.getFirst().getInt("stagedLayers"));
    assertTrue(events.getFirst().getDuration().isPositive());
  }

  @ParameterizedTest
  @EnumSource(Tables.class)
  void aStepWithoutTokensLeavesTheStreamAlone(Tables tables) {
    MemorySegment data = stream(1, Dtype.F32);
    try (CudaModel cuda = CudaModel.open(model, 0, CudaOptions.defaults().tables(tables));
        CudaStep step = cuda.newStep(TOKENS);
        OnDevice device = new OnDevice(data, Dtype.F32)) {
      step.prefetch(model.newBatch());
      device.apply(step);
      assertEquals(0, step.tokens());
      assertEquals(-1, device.result().data().mismatch(data));
    }
  }

  @Test
  void deadTokensKeepTheirBits() {
    EngramBatch batch = batch(4); // the last is dead
    MemorySegment data = stream(4, Dtype.BF16);
    long row = 4L * 96 * 2;
    try (CudaModel cuda = CudaModel.open(model, 0, CudaOptions.defaults());
        CudaStep step = cuda.newStep(4);
        OnDevice device = new OnDevice(data, Dtype.BF16)) {
      step.prefetch(batch);
      device.apply(step);
      MemorySegment result = device.result().data();
      assertEquals(-1, result.asSlice(3 * row, row).mismatch(data.asSlice(3 * row, row)));
      assertTrue(result.asSlice(0, row).mismatch(data.asSlice(0, row)) >= 0);
    }
  }
}
