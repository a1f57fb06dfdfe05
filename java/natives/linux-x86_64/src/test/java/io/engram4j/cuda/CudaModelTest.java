package io.engram4j.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.EngramBatch;
import io.engram4j.EngramLayer;
import io.engram4j.EngramModel;
import io.engram4j.EngramSequence;
import io.engram4j.backend.JavaBackend;
import io.engram4j.cuda.CudaOptions.Tables;
import io.engram4j.format.Dtype;
import io.engram4j.gate.HiddenStream;
import io.engram4j.hf.EngramDirectory;
import io.engram4j.table.Placement;
import io.engram4j.table.RowSeed;
import io.engram4j.table.TableOptions;
import io.engram4j.tck.ByteTokenizer;
import io.engram4j.tck.RandomModel;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.stream.LongStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** A model on a device, which is the shim, against the Java backend. */
class CudaModelTest {
  private static final List<Integer> LAYERS = List.of(1, 14);
  private static final int TOKENS = 9;

  @TempDir static Path directory;
  private final SplittableRandom random = new SplittableRandom(5);
  private EngramModel model = open(Placement.MAPPED);

  @BeforeAll
  static void write() throws IOException {
    Shim.use();
  }

  private static EngramModel open(Placement placement) {
    try {
      if (!directory.resolve("config.json").toFile().exists()) {
        RandomModel.small(96, 4, LAYERS).write(directory, bytes -> {});
        ByteTokenizer.write(directory);
      }
      return EngramDirectory.read(directory)
          .open(new JavaBackend(), TableOptions.defaults().placement(placement));
    } catch (IOException e) {
      throw new java.io.UncheckedIOException(e);
    }
  }

  @BeforeEach
  void nothingIsHeld() {
    requireNothingHeld();
  }

  @AfterEach
  void nothingIsLeft() {
    Shim.recover();
    model.close();
    requireNothingHeld();
  }

  private static void requireNothingHeld() {
    for (Shim.Count what :
        List.of(
            Shim.Count.DEVICE_ALLOCATIONS,
            Shim.Count.HOST_ALLOCATIONS,
            Shim.Count.REGISTRATIONS,
            Shim.Count.STREAMS,
            Shim.Count.EVENTS)) {
      assertEquals(0, Shim.count(what), what.toString());
    }
  }

  /** A batch of random tokens, some of them images. */
  private EngramBatch batch(int tokens) {
    EngramSequence sequence = model.newSequence();
    int[] ids = random.ints(tokens, 0, 200).toArray();
    sequence.append(ids);
    return model.newBatch().add(sequence, 0, tokens);
  }

  /** Random hidden states of a batch. */
  private MemorySegment stream(int tokens, Dtype type) {
    int elements = tokens * 4 * 96;
    MemorySegment data = Arena.ofAuto().allocate((long) elements * type.bytes(), 64);
    HiddenStream hidden = HiddenStream.of(data, type, 4, 96);
    for (int token = 0; token < tokens; token++) {
      for (int branch = 0; branch < 4; branch++) {
        for (int i = 0; i < 96; i++) {
          hidden.set(hidden.at(token, branch), i, (float) random.nextGaussian());
        }
      }
    }
    return data;
  }

  /** A step whose results come back when they are asked for. */
  private static final class OnDevice implements AutoCloseable {
    private final DeviceMemory memory = new DeviceMemory(0);
    private final CudaStream stream = CudaStream.create(0);
    private final MemorySegment hidden;
    private final MemorySegment back;
    private final Dtype type;

    OnDevice(MemorySegment data, Dtype type) {
      this.type = type;
      this.hidden = memory.upload(data);
      this.back = memory.pinned(data.byteSize());
    }

    void apply(CudaStep step) {
      for (int layer : LAYERS) {
        step.apply(layer, stream, CudaHidden.of(hidden, type, 4, 96));
      }
    }

    HiddenStream result() {
      stream.copy(back, hidden, back.byteSize());
      stream.synchronize();
      return HiddenStream.of(back, type, 4, 96);
    }

    byte[] read(MemorySegment from, long bytes) {
      try (DeviceMemory own = new DeviceMemory(0)) {
        MemorySegment to = own.pinned(bytes);
        stream.copy(to, from, bytes);
        stream.synchronize();
        return to.toArray(ValueLayout.JAVA_BYTE);
      }
    }

    @Override
    public void close() {
      memory.close();
      stream.close();
    }
  }

  private HiddenStream onHost(EngramBatch batch, MemorySegment data, Dtype type) {
    MemorySegment copy = Arena.ofAuto().allocate(data.byteSize(), 64).copyFrom(data);
    HiddenStream hidden = HiddenStream.of(copy, type, 4, 96);
    for (EngramLayer layer : model.layers()) {
      layer.apply(batch, hidden);
    }
    return hidden;
  }

  private static void requireClose(HiddenStream expected, HiddenStream actual, int tokens) {
    double bound = expected.dtype() == Dtype.F32 ? 2e-5 : 4e-2;
    for (int token = 0; token < tokens; token++) {
      for (int branch = 0; branch < 4; branch++) {
        long at = expected.at(token, branch);
        for (int i = 0; i < 96; i++) {
          float value = expected.get(at, i);
          assertEquals(value, actual.get(at, i), bound * (1 + Math.abs(value)), "token " + token);
        }
      }
    }
  }

  private void requireRows(CudaStep step, EngramBatch batch, OnDevice device, Dtype type) {
    int columns = model.config().columns();
    long count = (long) LAYERS.size() * batch.tokens() * columns;
    MemorySegment ids = Arena.ofAuto().allocate(8 * count);
    MemorySegment rows = Arena.ofAuto().allocate(count * 32 * type.bytes());
    model.lookup(batch, ids, rows, type);
    long bytes = rows.byteSize() / LAYERS.size();
    for (int i = 0; i < LAYERS.size(); i++) {
      byte[] expected = rows.asSlice(i * bytes, bytes).toArray(ValueLayout.JAVA_BYTE);
      assertArrayEquals(expected, device.read(step.rows(LAYERS.get(i)), bytes), "layer " + i);
    }
  }

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
      assertEquals("it is streamed", cuda.statistics().getFirst().reason());
      assertEquals(Tables.STAGED, cuda.statistics().getFirst().held());
    }
    assertThrows(
        IllegalStateException.class,
        () -> CudaModel.open(model, 0, CudaOptions.defaults().tables(Tables.HOST)).close());
  }

  /** cudaHostRegister says no: rows then go through the host, with the reason. */
  @Test
  void aRegistrationThatIsRefusedIsTold() {
    int refused = 0;
    for (int call = 0; call < 60; call++) {
      Shim.fail(call, 801, false);
      try (CudaModel cuda = CudaModel.open(model, 0, CudaOptions.defaults())) {
        for (CudaStatistics each : cuda.statistics()) {
          if (each.held() == Tables.STAGED) {
            refused++;
            assertTrue(String.valueOf(each.reason()).contains("CUDA error 801"), each.toString());
          }
        }
      } catch (CudaException | IllegalStateException e) {
        assertTrue(String.valueOf(e.getMessage()).contains("CUDA error 801"), e.toString());
        if (e.toString().matches(".*(_destroy|_free|_unregister).*")) {
          Shim.reset(); // what cannot be freed stays
        }
      }
      Shim.recover();
      requireNothingHeld();
    }
    assertTrue(refused > 0, "registrations refused: " + refused);
  }

  /** Whatever call the device is lost at, there is an exception, and closing ends. */
  @Test
  void aLostDeviceEndsInExceptions() {
    EngramBatch batch = batch(TOKENS);
    MemorySegment data = stream(TOKENS, Dtype.F32);
    int thrown = 0;
    int call = 0;
    for (boolean ended = false; !ended; call++) {
      CudaModel cuda = CudaModel.open(model, 0, CudaOptions.defaults());
      CudaStep step = cuda.newStep(TOKENS);
      OnDevice device = new OnDevice(data, Dtype.F32);
      Shim.fail(call, 700, true);
      try {
        step.prefetch(batch);
        device.apply(step);
        device.result();
        ended = true;
      } catch (CudaException e) {
        thrown++;
        assertTrue(String.valueOf(e.getMessage()).contains("CUDA error 700"), e.toString());
        assertEquals(-11, e.status());
        CudaException closing = assertThrows(CudaException.class, cuda::close);
        assertTrue(String.valueOf(closing.getMessage()).contains("CUDA error 700"));
        assertThrows(IllegalStateException.class, () -> step.prefetch(batch));
      }
      Shim.recover();
      cuda.close();
      Shim.reset();
    }
    assertTrue(thrown > 30, "calls at which the device was lost: " + thrown);
  }

  @Test
  void nothingIsLeftOfAThousandRounds() {
    long free = CudaDevice.of(0).freeBytes();
    for (int round = 0; round < 1000; round++) {
      CudaModel cuda = CudaModel.open(model, 0, CudaOptions.defaults());
      CudaStep step = cuda.newStep(2);
      step.prefetch(batch(1));
      if (round % 2 == 0) {
        step.close();
      }
      cuda.close(); // with the steps that are open
      cuda.close();
    }
    requireNothingHeld();
    assertEquals(free, CudaDevice.of(0).freeBytes());
  }

  @Test
  void whatDoesNotFitIsRefused() {
    assertThrows(
        IllegalArgumentException.class,
        () -> CudaModel.open(model, 7, CudaOptions.defaults()).close());
    assertThrows(
        IllegalArgumentException.class,
        () ->
            CudaModel.open(model, 0, CudaOptions.defaults().cache(100, new RowSeed(Map.of())))
                .close());
    EngramBatch batch = batch(TOKENS);
    CudaModel cuda = CudaModel.open(model, 0, CudaOptions.defaults());
    CudaStep step = cuda.newStep(TOKENS - 1);
    IllegalArgumentException e =
        assertThrows(IllegalArgumentException.class, () -> step.prefetch(batch));
    assertTrue(String.valueOf(e.getMessage()).contains("9 tokens, but the step at most 8"));
    e = assertThrows(IllegalArgumentException.class, () -> step.rows(3));
    assertTrue(String.valueOf(e.getMessage()).contains("[1, 14]"), e.toString());
    assertThrows(IllegalArgumentException.class, () -> cuda.newStep(0));
    try (EngramModel other = open(Placement.RESIDENT)) {
      EngramBatch foreign = other.newBatch();
      e = assertThrows(IllegalArgumentException.class, () -> step.prefetch(foreign));
      assertNotNull(e.getMessage());
    }
    model.close();
    assertFalse(model.isOpen());
    assertThrows(IllegalStateException.class, () -> step.prefetch(batch));
    cuda.close();
  }

  /** The device may be reading a table while its model is closed. */
  @Test
  void tablesStayUntilTheDeviceHasDone() {
    EngramBatch batch = batch(TOKENS);
    try (CudaModel cuda = CudaModel.open(model, 0, CudaOptions.defaults());
        CudaStep step = cuda.newStep(TOKENS);
        OnDevice device = new OnDevice(stream(TOKENS, Dtype.F32), Dtype.F32)) {
      step.prefetch(batch);
      MemorySegment rows = step.rows(1);
      model.close(); // what is queued has not run yet
      assertEquals(4 * 32, device.read(rows, 4 * 32).length);
    }
    assertFalse(model.layers().getFirst().weights().table().weight().scope().isAlive());
  }
}
