package io.engram4j;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.model.HiddenStream;
import io.engram4j.run.Step;
import java.util.ConcurrentModificationException;
import java.util.Random;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;

/** One owner at a time: whoever breaks the rule gets an exception, and harms nothing. */
class OwnerTest {
  private static final int TOKENS = Step.BLOCK + 6;

  private final EngramModel model = TestModels.paper();
  private final EngramLayer layer = model.layers().getFirst();
  private final int width = model.config().streamWidth();

  private HiddenStream stream(float[] hidden) {
    return HiddenStream.of(hidden, model.config().branches(), model.config().hiddenSize());
  }

  @Test
  void aListenerCannotChangeTheBatchThatItListensTo() {
    EngramSequence sequence = model.newSequence();
    sequence.append(new int[TOKENS]);
    EngramBatch batch = model.newBatch().add(sequence, 0, TOKENS);
    float[] hidden = TestModels.gaussians(TOKENS * width, new Random(1));
    float[] alone = hidden.clone();
    AtomicReference<Exception> seen = new AtomicReference<>();
    layer.apply(
        batch,
        stream(hidden),
        (stage, first, tokens, data, nanos) -> {
          for (Runnable change :
              new Runnable[] {
                batch::clear,
                batch::close,
                () -> batch.add(sequence, 0, 1),
                () -> layer.apply(batch, new float[TOKENS * width])
              }) {
            seen.set(assertThrows(ConcurrentModificationException.class, change::run));
          }
        });
    assertNotNull(seen.get());
    assertTrue(String.valueOf(seen.get().getMessage()).startsWith("the batch is in use"));
    sequence.truncate(0);
    sequence.append(new int[TOKENS]);
    layer.apply(sequence, TOKENS, alone);
    assertArrayEquals(alone, hidden);
    batch.close();
  }

  /** Whether or not two calls meet, each ends in its result or in that exception. */
  @Test
  void twoThreadsOnOneSequence() throws InterruptedException {
    EngramSequence sequence = model.newSequence();
    sequence.append(new int[TOKENS]);
    for (EngramLayer each : model.layers()) { // a snapshot needs all convolutions
      each.apply(sequence, TOKENS, new float[TOKENS * width]);
    }
    ConcurrentHashMap<String, Integer> ends = new ConcurrentHashMap<>();
    CountDownLatch begin = new CountDownLatch(1);
    Runnable hammer =
        () -> {
          try {
            begin.await();
            for (int i = 0; i < 300; i++) {
              ends.merge(end(sequence, i), 1, Integer::sum);
            }
          } catch (InterruptedException e) {
            ends.merge(e.toString(), 1, Integer::sum);
          }
        };
    Thread one = new Thread(hammer);
    Thread other = new Thread(hammer);
    one.start();
    other.start();
    begin.countDown();
    one.join();
    other.join();
    int fine = ends.getOrDefault("fine", 0);
    int refused = ends.getOrDefault("ConcurrentModificationException", 0);
    assertTrue(fine > 0, ends.toString());
    assertEquals(600, fine + refused, ends.toString());
    sequence.append(7); // nobody is left in it
  }

  private String end(EngramSequence sequence, int turn) {
    try {
      switch (turn % 3) {
        case 0 -> layer.apply(sequence, 8, new float[8 * width]);
        case 1 -> sequence.fork();
        default -> sequence.snapshot();
      }
      return "fine";
    } catch (RuntimeException e) {
      return e.getClass().getSimpleName();
    }
  }

  /** A call that is refused leaves the sequence free. */
  @Test
  void aFailureEndsTheCall() {
    EngramSequence sequence = model.newSequence();
    assertThrows(IndexOutOfBoundsException.class, () -> sequence.append(-5));
    assertThrows(IllegalArgumentException.class, () -> sequence.truncate(9));
    assertThrows(
        IllegalArgumentException.class, () -> layer.apply(sequence, 9, new float[9 * width]));
    sequence.append(1);
    assertEquals(1, sequence.length());
  }
}
