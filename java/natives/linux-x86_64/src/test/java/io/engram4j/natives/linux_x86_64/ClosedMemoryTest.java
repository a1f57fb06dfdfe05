package io.engram4j.natives.linux_x86_64;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.Backends;
import io.engram4j.kernel.Backend;
import io.engram4j.kernel.StagewiseLookup;
import io.engram4j.model.Dtype;
import io.engram4j.model.EngramConfig;
import io.engram4j.model.EngramLayout;
import io.engram4j.model.LayerLayout;
import io.engram4j.table.RowType;
import io.engram4j.table.Table;
import io.engram4j.tck.ClosedMemory;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import org.junit.jupiter.api.Test;

/** A call into C keeps all memory open that it reads, that behind its structs' addresses too. */
class ClosedMemoryTest {
  private final Backend backend = Backends.named("cpu");

  @Test
  void aCallHoldsItsMemory() throws Exception {
    int held;
    try (Arena kernels = Arena.ofShared()) {
      held = new ClosedMemory(backend, kernels).race(40);
    }
    assertTrue(held > 0, "no call was ever under way when an arena was closed");
  }

  @Test
  void confinedMemoryIsItsThreadsAlone() {
    Arena any = Arena.ofAuto();
    ClosedMemory memory = new ClosedMemory(backend, any);
    try (Arena confined = Arena.ofConfined()) {
      for (Runnable call :
          List.of(
              memory.gather(confined, any, any),
              memory.gather(any, confined, any),
              memory.project(confined, any, any),
              memory.project(any, confined, any))) {
        call.run();
        CompletionException wrong =
            assertThrows(CompletionException.class, () -> CompletableFuture.runAsync(call).join());
        assertInstanceOf(WrongThreadException.class, wrong.getCause());
      }
    }
  }

  /** More arenas than one call holds: the layers go one by one, with the same rows. */
  @Test
  void tablesOfManyArenas() {
    EngramConfig config =
        EngramConfig.builder()
            .hiddenSize(8)
            .branches(1)
            .layerIds(List.of(1, 2, 3))
            .ngrams(3, 50)
            .heads(2, 32)
            .build();
    List<LayerLayout> layouts = EngramLayout.of(config, 100);
    List<Table> tables = new ArrayList<>();
    List<Arena> arenas = new ArrayList<>();
    for (LayerLayout layout : layouts) {
      Arena weights = Arena.ofShared();
      Arena scales = Arena.ofShared();
      arenas.addAll(List.of(weights, scales));
      tables.add(
          Table.of(
              "table " + layout.layerId(),
              RowType.F8_E4M3,
              layout.rows(),
              32,
              weights.allocate(layout.rows() * 32).fill((byte) (0x30 + layout.layerId())),
              scales.allocate(layout.rows()).fill((byte) 127)));
    }
    int tokens = 3;
    long ids = 3L * tokens * layouts.getFirst().columns();
    MemorySegment windows = Arena.ofAuto().allocate(4L * tokens * config.maxNgram());
    MemorySegment rowIds = Arena.ofAuto().allocate(8 * ids);
    MemorySegment rows = Arena.ofAuto().allocate(4 * 32 * ids);
    MemorySegment expected = Arena.ofAuto().allocate(4 * 32 * ids);
    Backend.Lookup lookup = StagewiseLookup.orOwn(backend, layouts, tables, Arena.ofAuto());
    lookup.run(windows, tokens, rowIds, rows, Dtype.F32);
    new StagewiseLookup(Backends.named("java"), layouts, tables, Arena.ofAuto())
        .run(windows, tokens, rowIds, expected, Dtype.F32);
    assertEquals(-1, expected.mismatch(rows));
    arenas.removeLast().close();
    IllegalStateException e =
        assertThrows(
            IllegalStateException.class,
            () -> lookup.run(windows, tokens, rowIds, rows, Dtype.F32));
    assertEquals("the memory of table 3 is closed", e.getMessage());
    arenas.forEach(Arena::close);
  }
}
