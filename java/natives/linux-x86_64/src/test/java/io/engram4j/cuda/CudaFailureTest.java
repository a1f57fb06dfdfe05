package io.engram4j.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.EngramBatch;
import io.engram4j.EngramModel;
import io.engram4j.cuda.CudaOptions.Tables;
import io.engram4j.model.Dtype;
import io.engram4j.table.Placement;
import io.engram4j.table.RowSeed;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Comparator;
import java.util.ConcurrentModificationException;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What goes wrong on a device ends in an exception, and leaves nothing behind. */
class CudaFailureTest extends CudaFixture {
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

  /** Codes without their scales are of no use, so they are not kept locked. */
  @Test
  void whatIsOfNoUseIsNotKeptRegistered() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment codes = arena.allocate(4096, 4096);
      MemorySegment scales = arena.allocate(4096, 4096);
      MemorySegment alone = arena.allocate(4096, 4096);
      List<List<MemorySegment>> tables = List.of(List.of(codes, scales), List.of(alone));
      List<MemorySegment> inOrder =
          Stream.of(codes, scales, alone)
              .sorted(Comparator.comparingLong(MemorySegment::address))
              .toList();
      for (MemorySegment refused : inOrder) {
        try (DeviceMemory memory = new DeviceMemory(0)) {
          // a registration calls CUDA three times: for the device, to register, for the address
          Shim.fail(3 * inOrder.indexOf(refused) + 1, 801, false);
          PinnedRanges pinned = PinnedRanges.register(tables, memory);
          Shim.recover();
          for (List<MemorySegment> table : tables) {
            String reason = pinned.problem(table);
            boolean told = reason != null && reason.contains("CUDA error 801");
            assertEquals(table.contains(refused), told, String.valueOf(reason));
          }
          assertEquals(refused == alone ? 2 : 1, Shim.count(Shim.Count.REGISTRATIONS));
        }
        assertEquals(0, Shim.count(Shim.Count.REGISTRATIONS));
      }
    }
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
    CudaStream here = CudaStream.of(0, MemorySegment.NULL);
    assertThrows(IllegalStateException.class, () -> step.await(1, here), "nothing is prefetched");
    step.prefetch(batch(1));
    CudaStream elsewhere = CudaStream.of(1, MemorySegment.NULL);
    assertThrows(IllegalArgumentException.class, () -> step.await(1, elsewhere));
    assertThrows(IllegalArgumentException.class, () -> step.project(1, elsewhere));
    CudaStream gone = CudaStream.create(0);
    gone.close();
    assertThrows(IllegalStateException.class, () -> step.await(1, gone));
    assertThrows(IllegalStateException.class, gone::synchronize);
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

  /** Whether or not two calls meet, each ends in its result or in that exception. */
  @Test
  void twoThreadsOnOneStepAreTold() throws Exception {
    AtomicInteger met = new AtomicInteger();
    try (CudaModel cuda = CudaModel.open(model, 0, CudaOptions.defaults());
        CudaStep step = cuda.newStep(TOKENS)) {
      EngramBatch batch = batch(TOKENS);
      Callable<Void> user =
          () -> {
            for (int i = 0; i < 20_000 && met.get() == 0; i++) {
              try {
                step.prefetch(batch);
              } catch (ConcurrentModificationException e) {
                assertTrue(String.valueOf(e.getMessage()).startsWith("the step is in use"));
                met.incrementAndGet();
              }
            }
            return null;
          };
      try (ExecutorService both = Executors.newFixedThreadPool(2)) {
        for (Future<Void> each : both.invokeAll(List.of(user, user))) {
          each.get();
        }
      }
      step.prefetch(batch); // it is in order afterwards
    }
    assertTrue(met.get() > 0, "they never met");
  }

  /** Memory that a call writes is not freed under it. */
  @Test
  void anotherThreadMayCloseIt() throws InterruptedException {
    for (int round = 0; round < 50; round++) {
      CudaModel cuda = CudaModel.open(model, 0, CudaOptions.defaults());
      CudaStep step = cuda.newStep(TOKENS);
      EngramBatch batch = batch(TOKENS);
      CountDownLatch begun = new CountDownLatch(1);
      Thread closer =
          Thread.ofPlatform()
              .start(() -> {
                try {
                  begun.await();
                  cuda.close();
                } catch (InterruptedException e) {
                  throw new AssertionError(e);
                }
              });
      IllegalStateException told = null;
      for (int i = 0; told == null; i++) {
        if (i == round % 5) {
          begun.countDown();
        }
        try {
          step.prefetch(batch);
        } catch (IllegalStateException e) {
          told = e;
        }
      }
      closer.join();
      assertTrue(String.valueOf(told.getMessage()).contains("closed"), told.toString());
    }
  }

  /** The device may be reading a table while its model is closed. */
  @Test
  void tablesStayUntilTheDeviceHasDone() throws InterruptedException {
    EngramBatch batch = batch(TOKENS);
    try (CudaModel cuda = CudaModel.open(model, 0, CudaOptions.defaults());
        CudaStep step = cuda.newStep(TOKENS);
        OnDevice device = new OnDevice(stream(TOKENS, Dtype.F32), Dtype.F32)) {
      step.prefetch(batch);
      MemorySegment rows = step.rows(1);
      model.close(); // what is queued has not run yet
      assertEquals(4 * 32, device.read(rows, 4 * 32).length);
    }
    var tables = model.layers().getFirst().weights().table().weight().scope();
    for (int i = 0; i < 10_000 && tables.isAlive(); i++) {
      Thread.sleep(1); // a thread of the model frees them
    }
    assertFalse(tables.isAlive());
  }

  /** The host reads the rows of staged tables, and may find their file gone. */
  @Test
  void aFileThatShrinksIsTold(@TempDir Path other) throws IOException {
    model.close();
    model = open(other, Placement.MAPPED);
    CudaOptions options = CudaOptions.defaults().tables(CudaOptions.Tables.STAGED);
    EngramBatch batch = batch(TOKENS);
    try (CudaModel cuda = CudaModel.open(model, 0, options);
        CudaStep step = cuda.newStep(TOKENS);
        CudaStream stream = CudaStream.create(0)) {
      step.prefetch(batch);
      step.await(1, stream);
      try (Stream<Path> files = Files.list(other)) {
        for (Path file : files.filter(f -> f.toString().endsWith(".safetensors")).toList()) {
          try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
            channel.truncate(0);
          }
        }
      }
      UncheckedIOException e = assertThrows(UncheckedIOException.class, () -> step.prefetch(batch));
      assertTrue(
          String.valueOf(e.getMessage()).contains("ends at byte 0, before row"), e.toString());
      // the rows of the step before must not be taken for this one's
      assertThrows(IllegalStateException.class, () -> step.await(1, stream));
    }
  }
}
