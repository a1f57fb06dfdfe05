package io.engram4j;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.run.Step;
import io.engram4j.work.SharedWork;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.Executor;
import java.util.concurrent.Executors;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;
import org.junit.jupiter.api.Test;

/** The projection gives the same bits on any number of threads, whoever comes and when. */
class ProjectorTest {
  private static final int TOKENS = Step.BLOCK + 26;

  private static float[] run(EngramModel model) {
    SplittableRandom random = new SplittableRandom(8);
    EngramSequence sequence = model.newSequence();
    sequence.append(random.ints(TOKENS, 0, model.map().size()).toArray());
    float[] hidden = new float[TOKENS * model.config().streamWidth()];
    for (int i = 0; i < hidden.length; i++) {
      hidden[i] = (float) random.nextGaussian();
    }
    EngramBatch batch = model.newBatch().add(sequence, 0, TOKENS);
    for (EngramLayer layer : model.layers()) {
      layer.apply(batch, hidden);
    }
    return hidden;
  }

  @Test
  void anyNumberOfThreadsGivesTheSameBits() {
    try (EngramModel model = TestModels.v41();
        var pool = Executors.newFixedThreadPool(3)) {
      float[] expected = run(model);
      for (int threads : new int[] {1, 2, 3, 7, 100}) {
        assertArrayEquals(expected, run(model.withExecutor(pool, threads)), threads + " threads");
      }
      ArrayDeque<Runnable> late = new ArrayDeque<>();
      EngramModel alone = model.withExecutor(late::add, 4);
      assertArrayEquals(expected, run(alone), "nobody comes");
      Executor full =
          task -> {
            throw new RejectedExecutionException("full");
          };
      assertArrayEquals(expected, run(model.withExecutor(full, 4)), "nobody is let in");
      assertEquals(0, late.size() % 3);
      late.forEach(Runnable::run); // find nothing to do
      assertThrows(IllegalArgumentException.class, () -> model.withExecutor(pool, 0));
      AtomicInteger calls = new AtomicInteger();
      Executor breaks =
          task -> {
            if (calls.incrementAndGet() % 3 == 0) {
              throw new IllegalStateException("broken executor");
            }
            pool.execute(task);
          };
      for (int i = 0; i < 20; i++) {
        assertThrows(IllegalStateException.class, () -> run(model.withExecutor(breaks, 4)));
      }
    }
  }

  /** Turn after turn, with helpers that come at any time. */
  @Test
  void everyPieceIsDoneOnce() {
    AtomicInteger turns = new AtomicInteger();
    AtomicIntegerArray done = new AtomicIntegerArray(100);
    SharedWork<Integer> work =
        new SharedWork<>() {
          @Override
          protected void piece(int index, Integer context) {
            if (index == 77 && turns.get() % 10 == 9) {
              throw new IllegalStateException("piece 77");
            }
            done.incrementAndGet(index);
          }
        };
    List<Thread> helpers = new ArrayList<>();
    for (int i = 0; i < 3; i++) {
      helpers.add(
          Thread.ofPlatform()
              .start(() -> {
                while (turns.get() >= 0) {
                  work.help(0);
                }
              }));
    }
    for (int turn = 0; turn < 20_000; turn++) {
      turns.set(turn);
      int pieces = 1 + turn % 100;
      for (int i = 0; i < 100; i++) {
        done.set(i, 0);
      }
      work.begin(pieces);
      if (turn % 3 == 0) {
        work.help(0);
      }
      Throwable failure = work.await();
      boolean fails = turn % 10 == 9 && pieces > 77;
      assertEquals(fails, failure != null);
      for (int i = 0; i < 100; i++) {
        assertTrue(fails ? done.get(i) <= 1 : done.get(i) == (i < pieces ? 1 : 0));
      }
    }
    turns.set(-1);
    helpers.forEach(thread -> {
      try {
        thread.join();
      } catch (InterruptedException e) {
        throw new IllegalStateException(e);
      }
    });
  }
}
