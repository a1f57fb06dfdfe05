package io.engram4j;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.model.HiddenStream;
import io.engram4j.run.Step;
import java.time.Duration;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** Convolutions after rollback, failures that leave no trace, and closing from within. */
class EngramLayerTest {
  private static final int MANY = Step.BLOCK + 6; // more than go together

  private final EngramModel model = TestModels.paper();
  private final EngramLayer layer = model.layers().getFirst();
  private final int width = model.config().streamWidth();

  private float[] fresh(int[] ids, float[] hidden) {
    EngramSequence sequence = model.newSequence();
    sequence.append(ids);
    float[] out = hidden.clone();
    layer.apply(sequence, ids.length, out);
    return out;
  }

  @Test
  void aSequenceCanStartAgainAtZero() {
    Random random = new Random(1);
    EngramSequence sequence = model.newSequence();
    sequence.append(random.ints(MANY, 0, 99).toArray());
    layer.apply(sequence, MANY, new float[MANY * width]);
    sequence.truncate(0);
    int[] ids = random.ints(60, 0, 99).toArray();
    float[] hidden = TestModels.gaussians(60 * width, random);
    sequence.append(ids);
    float[] again = hidden.clone();
    layer.apply(sequence, 60, again);
    assertArrayEquals(fresh(ids, hidden), again);
    float[] twice = hidden.clone();
    layer.apply(sequence, 60, twice); // from 0 without truncating
    assertArrayEquals(again, twice);
  }

  @Test
  void truncationBeyondWhatIsRememberedIsRefusedAtOnce() {
    EngramSequence sequence = model.newSequence();
    sequence.append(new int[100]);
    layer.apply(sequence, 100, new float[100 * width]);
    IllegalStateException e =
        assertThrows(IllegalStateException.class, () -> sequence.truncate(60));
    assertTrue(String.valueOf(e.getMessage()).contains("can take back 32"), e.getMessage());
    assertEquals(100, sequence.length());
    sequence.truncate(68);
    sequence.append(5);
    layer.apply(sequence, 1, new float[width]);
  }

  @Test
  void aBatchOfTokensThatWereTakenBackIsRefused() {
    EngramSequence sequence = model.newSequence();
    sequence.append(new int[30]);
    EngramBatch batch = model.newBatch().add(sequence, 0, 30);
    sequence.truncate(20);
    sequence.append(new int[] {1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
    float[] hidden = TestModels.gaussians(30 * width, new Random(2));
    float[] before = hidden.clone();
    IllegalStateException e =
        assertThrows(IllegalStateException.class, () -> layer.apply(batch, hidden));
    assertTrue(String.valueOf(e.getMessage()).contains("was truncated after"), e.getMessage());
    assertArrayEquals(before, hidden);
  }

  @Test
  void aBatchThatCannotGoOnChangesNothing() {
    EngramSequence good = model.newSequence();
    good.append(new int[MANY]);
    EngramSequence bad = model.newSequence();
    bad.append(new int[10]);
    EngramBatch batch = model.newBatch().add(good, 0, MANY).add(bad, 5, 5);
    float[] hidden = TestModels.gaussians((MANY + 5) * width, new Random(3));
    float[] before = hidden.clone();
    assertThrows(IllegalStateException.class, () -> layer.apply(batch, hidden));
    assertArrayEquals(before, hidden);
    layer.apply(good, MANY, new float[MANY * width]); // its convolution had not moved
  }

  @Test
  void twoPartsOfOneSequenceInABatch() {
    Random random = new Random(4);
    int[] ids = random.ints(30, 0, 99).toArray();
    float[] hidden = TestModels.gaussians(30 * width, random);
    EngramSequence sequence = model.newSequence();
    sequence.append(ids);
    float[] parts = hidden.clone();
    layer.apply(model.newBatch().add(sequence, 0, 11).add(sequence, 11, 19), parts);
    assertArrayEquals(fresh(ids, hidden), parts);
  }

  @Test
  void closingFromWithinACallEndsWithTheCall() {
    EngramModel closing = TestModels.v41();
    EngramSequence sequence = closing.newSequence();
    sequence.append(new int[] {1, 2});
    EngramLayer first = closing.layers().getFirst();
    float[] hidden = new float[2 * closing.config().streamWidth()];
    HiddenStream stream =
        HiddenStream.of(hidden, closing.config().branches(), closing.config().hiddenSize());
    assertTimeoutPreemptively(
        Duration.ofSeconds(20),
        () ->
            first.apply(
                closing.newBatch().add(sequence, 0, 2),
                stream,
                (stage, from, tokens, data, nanos) -> closing.close()));
    assertThrows(IllegalStateException.class, () -> first.apply(sequence, 2, hidden));
  }

  /** A batch's memory is its view's, even where a layer of the model runs on it. */
  @Test
  void closingAViewWaitsForItsBatches() {
    Random random = new Random(3);
    EngramSequence sequence = model.newSequence();
    int[] ids = random.ints(MANY, 0, 99).toArray();
    sequence.append(ids);
    float[] hidden = TestModels.gaussians(MANY * width, random);
    EngramModel view = model.withMemo(1 << 20);
    EngramBatch batch = view.newBatch().add(sequence, 0, MANY);
    float[] closed = hidden.clone();
    HiddenStream stream =
        HiddenStream.of(closed, model.config().branches(), model.config().hiddenSize());
    layer.apply(batch, stream, (stage, from, tokens, data, nanos) -> view.close());
    assertArrayEquals(fresh(ids, hidden), closed);
    IllegalStateException e =
        assertThrows(
            IllegalStateException.class, () -> layer.apply(batch, new float[MANY * width]));
    assertEquals("the model is closed", e.getMessage());
    assertTrue(model.isOpen());
  }

  /** Sequences take their buffers from the model and give them back: a thousand cost as one. */
  @Test
  void callsOfManySequencesShareTheirMemory() {
    float[] hidden = new float[2 * width];
    long before = -1;
    for (int i = 0; i < 1000; i++) {
      EngramSequence sequence = model.newSequence();
      sequence.append(new int[] {1, 2});
      layer.apply(sequence, 2, hidden);
      long buffers = model.memory().bufferBytes();
      assertTrue(buffers > 0, "buffers are counted");
      assertTrue(before < 0 || before == buffers, before + " bytes have become " + buffers);
      before = buffers;
    }
  }

  @Test
  void aClosedBatchIsRefused() {
    EngramSequence sequence = model.newSequence();
    sequence.append(new int[] {1, 2});
    EngramBatch batch = model.newBatch().add(sequence, 0, 2);
    batch.close();
    batch.close();
    assertThrows(IllegalStateException.class, () -> batch.add(sequence, 0, 1));
    assertThrows(IllegalStateException.class, () -> layer.apply(batch, new float[2 * width]));
  }

  /** Closing a view frees what it has of its own and leaves the model open. */
  @Test
  void aClosedViewGivesItsMemoBack() {
    EngramSequence sequence = model.newSequence();
    sequence.append(new int[] {1, 2, 3, 4});
    float[] expected = new float[4 * width];
    EngramModel view = model.withMemo(1 << 20);
    assertTrue(view.memory().memoBytes() > 0, "a memo is counted");
    assertEquals(0, model.memory().memoBytes());
    view.layers().getFirst().apply(sequence, 4, expected);
    view.close();
    assertThrows(
        IllegalStateException.class, () -> view.layers().getFirst().apply(sequence, 4, expected));
    assertTrue(model.isOpen());
    assertEquals(4, sequence.fork().length());
  }
}
