package io.engram4j;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.run.Step;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.Executor;
import java.util.concurrent.Executors;
import java.util.concurrent.RejectedExecutionException;
import org.junit.jupiter.api.Test;

/** Rows that were fetched ahead give what rows that were not give, whatever happens meanwhile. */
class PrefetchTest {
  private final EngramModel model = TestModels.v41();
  private final int width = model.config().streamWidth();

  private float[] stream(int tokens) {
    SplittableRandom random = new SplittableRandom(tokens);
    float[] stream = new float[tokens * width];
    for (int i = 0; i < stream.length; i++) {
      stream[i] = (float) random.nextGaussian();
    }
    return stream;
  }

  private EngramSequence sequence(int tokens) {
    SplittableRandom random = new SplittableRandom(tokens * 31L);
    EngramSequence sequence = model.newSequence();
    for (int i = 0; i < tokens; i++) {
      sequence.append(new int[] {random.nextInt(model.map().size())});
    }
    return sequence;
  }

  private float[] expected(int tokens) {
    float[] hidden = stream(tokens);
    EngramSequence sequence = sequence(tokens);
    EngramBatch batch = model.newBatch().add(sequence, 0, tokens);
    for (EngramLayer layer : model.layers()) {
      layer.apply(batch, hidden);
    }
    return hidden;
  }

  private void check(Executor executor, int tokens) {
    float[] hidden = stream(tokens);
    EngramBatch batch = model.newBatch().add(sequence(tokens), 0, tokens).prefetch(executor);
    for (EngramLayer layer : model.layers()) {
      layer.apply(batch, hidden);
    }
    assertArrayEquals(expected(tokens), hidden);
  }

  @Test
  void rowsAheadAreTheSameRows() {
    List<Runnable> never = new ArrayList<>();
    try (var pool = Executors.newFixedThreadPool(3)) {
      for (int tokens :
          new int[] {0, 1, 2, Step.BLOCK - 1, Step.BLOCK, Step.BLOCK + 1, 3 * Step.BLOCK + 8}) {
        check(pool, tokens);
        check(Runnable::run, tokens); // at once
        check(never::add, tokens); // so late that apply does it
      }
    }
    assertEquals(21, never.size() / model.layers().size() * 3);
    never.forEach(Runnable::run); // and much too late: nothing happens
  }

  @Test
  void decodingStepByStepAndRollingBack() {
    EngramSequence plain = sequence(40);
    EngramSequence ahead = sequence(40);
    SplittableRandom random = new SplittableRandom(3);
    try (var pool = Executors.newFixedThreadPool(2)) {
      for (int step = 0; step < 200; step++) {
        int token = random.nextInt(model.map().size());
        plain.append(new int[] {token});
        ahead.append(new int[] {token});
        ahead.prefetch(1, pool);
        if (random.nextInt(4) == 0) { // the token is taken back while its rows are on their way
          plain.truncate(plain.length() - 3);
          ahead.truncate(ahead.length() - 3);
          int other = random.nextInt(model.map().size());
          plain.append(new int[] {other});
          ahead.append(new int[] {other});
          if (random.nextBoolean()) {
            ahead.prefetch(1, pool);
          }
        }
        float[] first = stream(1);
        float[] second = stream(1);
        for (EngramLayer layer : model.layers()) {
          layer.apply(plain, 1, first);
          layer.apply(ahead, 1, second);
        }
        assertArrayEquals(first, second, "step " + step);
      }
    }
  }

  @Test
  void aBatchThatChangesGivesItsRowsUp() {
    ArrayDeque<Runnable> queue = new ArrayDeque<>();
    EngramSequence sequence = sequence(10);
    EngramBatch batch = model.newBatch().add(sequence, 0, 4).prefetch(queue::add);
    batch.add(sequence, 4, 6);
    queue.forEach(Runnable::run); // the stale tasks find nothing to do
    float[] hidden = stream(10);
    model.layers().forEach(layer -> layer.apply(batch, hidden));
    assertArrayEquals(expected(10), hidden);
  }

  @Test
  void waitingShowsInTheFlightRecorder() throws Exception {
    java.nio.file.Path file = java.nio.file.Files.createTempFile("stall", ".jfr");
    try (jdk.jfr.Recording recording = new jdk.jfr.Recording()) {
      recording.enable("io.engram4j.Stall");
      recording.start();
      check(task -> {}, 3); // nobody fetches ahead
      recording.stop();
      recording.dump(file);
      List<jdk.jfr.consumer.RecordedEvent> stalls =
          jdk.jfr.consumer.RecordingFile.readAllEvents(file).stream()
              .filter(event -> event.getEventType().getName().equals("io.engram4j.Stall"))
              .toList();
      assertEquals(model.layers().size(), stalls.size());
      assertEquals(3, stalls.getFirst().getInt("tokens"));
      assertEquals(true, stalls.getFirst().getBoolean("inline"));
    } finally {
      java.nio.file.Files.delete(file);
    }
  }

  @Test
  void theModelsOwnThreadsAndItsStatistics() {
    List<Thread> threads;
    try (EngramModel own = TestModels.v41()) {
      EngramSequence sequence = own.newSequence();
      sequence.append(new int[] {1, 2, 3});
      sequence.prefetch(3);
      float[] hidden = stream(3);
      own.layers().forEach(layer -> layer.apply(sequence, 3, hidden));
      sequence.append(new int[] {4});
      EngramBatch unfetched = own.newBatch().add(sequence, 3, 1).prefetch(task -> {});
      float[] last = stream(1);
      own.layers().forEach(layer -> layer.apply(unfetched, last));
      for (LayerStatistics layer : own.statistics()) {
        assertEquals(2, layer.prefetches());
        // the second time nobody fetched; the first time a thread may have been late as well
        assertTrue(1 <= layer.begunLate() && layer.begunLate() <= layer.stalls(), "" + layer);
        assertTrue(layer.stalls() <= 2, layer.toString());
        assertTrue(layer.stalledNanos() > 0);
        assertEquals(own.layer(layer.layer()).weights().table().name(), layer.table());
      }
      threads = prefetchThreads();
      assertEquals(own.layers().size(), threads.size());
    }
    EngramModel closed = TestModels.v41();
    EngramSequence late = closed.newSequence();
    late.append(new int[] {1});
    closed.close();
    assertThrows(IllegalStateException.class, () -> late.prefetch(1));
    for (Thread thread : threads) {
      assertTimeoutPreemptively(Duration.ofSeconds(20), () -> thread.join());
    }
  }

  private static List<Thread> prefetchThreads() {
    return Thread.getAllStackTraces().keySet().stream()
        .filter(thread -> thread.getName().startsWith("engram-prefetch-"))
        .toList();
  }

  @Test
  void aFullExecutorLeavesTheWorkToApply() {
    EngramBatch batch = model.newBatch().add(sequence(3), 0, 3);
    Executor full =
        task -> {
          throw new RejectedExecutionException("full");
        };
    batch.prefetch(full);
    float[] hidden = stream(3);
    model.layers().forEach(layer -> layer.apply(batch, hidden));
    assertArrayEquals(expected(3), hidden);
  }

  @Test
  void aFailureShowsWhereRowsAreUsed() {
    EngramModel closed = TestModels.v41();
    EngramSequence sequence = closed.newSequence();
    sequence.append(new int[] {1, 2});
    EngramBatch batch = closed.newBatch().add(sequence, 0, 2);
    List<Runnable> queue = new ArrayList<>();
    batch.prefetch(queue::add);
    closed.close();
    queue.forEach(Runnable::run); // fails, and tells nobody
    assertThrows(IllegalStateException.class, () -> batch.prefetch(Runnable::run));
    assertThrows(
        IllegalStateException.class,
        () -> closed.layers().getFirst().apply(batch, new float[2 * width]));
  }
}
