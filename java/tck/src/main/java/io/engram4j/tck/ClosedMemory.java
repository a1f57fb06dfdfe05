package io.engram4j.tck;

import io.engram4j.kernel.Backend;
import io.engram4j.model.Dtype;
import io.engram4j.table.RowType;
import io.engram4j.table.Table;
import io.engram4j.weights.Linear;
import io.engram4j.weights.Projection;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * Closes arenas while a backend's kernels use what they hold: rows, weights and scales, which a
 * kernel was made with, as well as arguments. Either the call comes first and the arena stays open,
 * or the arena is closed and the call refuses; there is nothing between.
 */
public final class ClosedMemory {
  private static final long ROWS = 4096;
  private static final int DIM = 256;
  private static final int INPUTS = 1024;
  private static final int OUTPUTS = 512;

  private final Backend backend;
  private final Arena kernels;

  /** Work on memory of two arenas, of which the second is closed meanwhile. */
  private interface Work {
    Runnable on(Arena stays, Arena closed);
  }

  /** For a backend, whose kernels have their memory from a shared arena. */
  public ClosedMemory(Backend backend, Arena kernels) {
    this.backend = backend;
    this.kernels = kernels;
  }

  /** Returns a gather of many rows on memory of three arenas. */
  public Runnable gather(Arena weights, Arena scales, Arena arguments) {
    int count = 500;
    Table table =
        Table.of(
            "table",
            RowType.F8_E4M3,
            ROWS,
            DIM,
            weights.allocate(ROWS * DIM).fill((byte) 0x38),
            scales.allocate(ROWS * DIM / 32).fill((byte) 127));
    MemorySegment ids = arguments.allocate(8L * count);
    for (int i = 0; i < count; i++) {
      ids.setAtIndex(ValueLayout.JAVA_LONG, i, i % ROWS);
    }
    MemorySegment rows = arguments.allocate(4L * count * DIM);
    Backend.Gather kernel = backend.gather(table, kernels);
    return () -> kernel.run(ids, count, rows, Dtype.F32);
  }

  /** Returns a projection of a few tokens on memory of three arenas. */
  public Runnable project(Arena weights, Arena scales, Arena arguments) {
    int tokens = 3;
    Linear linear =
        new Linear(
            "wkv",
            OUTPUTS,
            INPUTS,
            RowType.F8_E4M3,
            weights.allocate(OUTPUTS * INPUTS).fill((byte) 0x38),
            scales.allocate(OUTPUTS / 32 * INPUTS / 32).fill((byte) 127),
            null);
    MemorySegment rows = arguments.allocate(4L * tokens * INPUTS);
    MemorySegment out = arguments.allocate(4L * tokens * OUTPUTS);
    Backend.Project kernel = backend.project(new Projection(List.of(linear)), kernels);
    return () -> kernel.run(rows, tokens, 0, OUTPUTS, out);
  }

  /**
   * Closes each kind of memory in the midst of calls.
   *
   * @param rounds how often each
   * @return how often an arena could not be closed at once, since a call held it
   * @throws AssertionError if a call ended otherwise than by an {@link IllegalStateException}
   */
  public int race(int rounds) throws InterruptedException, ExecutionException, TimeoutException {
    Map<String, Work> works =
        Map.of(
            "a table's rows", (stays, closed) -> gather(closed, stays, stays),
            "a table's scales", (stays, closed) -> gather(stays, closed, stays),
            "row ids and rows", (stays, closed) -> gather(stays, stays, closed),
            "weights", (stays, closed) -> project(closed, stays, stays),
            "scales of weights", (stays, closed) -> project(stays, closed, stays),
            "inputs and outputs", (stays, closed) -> project(stays, stays, closed));
    int busy = 0;
    for (Map.Entry<String, Work> work : works.entrySet()) {
      for (int round = 0; round < rounds; round++) {
        busy += race(work.getKey(), work.getValue());
      }
    }
    return busy;
  }

  private int race(String what, Work work)
      throws InterruptedException, ExecutionException, TimeoutException {
    int busy = 0;
    Arena closed = Arena.ofShared();
    try (Arena stays = Arena.ofShared()) {
      Runnable call = work.on(stays, closed);
      CountDownLatch running = new CountDownLatch(1);
      CompletableFuture<RuntimeException> ended =
          CompletableFuture.supplyAsync(() -> callUntilRefused(call, running));
      running.await();
      while (closed.scope().isAlive()) {
        try {
          closed.close();
        } catch (IllegalStateException e) { // a call under way holds it
          busy++;
        }
      }
      RuntimeException refused = ended.get(60, TimeUnit.SECONDS);
      if (!(refused instanceof IllegalStateException)) {
        throw new AssertionError(backend.name() + ", " + what + " closed", refused);
      }
    }
    return busy;
  }

  private static RuntimeException callUntilRefused(Runnable call, CountDownLatch running) {
    try {
      while (true) {
        call.run();
        running.countDown();
      }
    } catch (RuntimeException e) {
      running.countDown();
      return e;
    }
  }
}
