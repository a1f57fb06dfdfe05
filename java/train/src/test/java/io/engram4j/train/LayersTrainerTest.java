package io.engram4j.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.engram4j.model.TokenMap;
import io.engram4j.train.model.Batch;
import io.engram4j.train.model.DecoderShape;
import io.engram4j.train.model.EngramForm;
import io.engram4j.train.model.EngramLayers;
import io.engram4j.train.table.TableShape;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Engram layers within a model that something else computes. */
class LayersTrainerTest {
  private static final DecoderShape SHAPE = new DecoderShape(40, 16, 4, 2, 24, 1, 8);
  private static final int TOKENS = 16;

  private static EngramLayers layers() {
    return new EngramLayers(
        SmallModels.memory(SHAPE, EngramForm.V41, TokenMap.identity(40), List.of(1, 3), 30),
        TableShape.of(1, 1),
        TOKENS,
        1);
  }

  private static LayersTrainer trainer(EngramLayers layers, int tokens) {
    return new LayersTrainer(layers, TrainOptions.defaults(100), tokens);
  }

  private static Batch batch(int id) {
    int[] ids = new int[8];
    Arrays.fill(ids, id);
    int[] targets = new int[8];
    Arrays.fill(targets, -1);
    boolean[] live = new boolean[8];
    Arrays.fill(live, true);
    return new Batch(1, 8, ids, targets, new int[8], live);
  }

  private static float[] filled(float value) {
    float[] values = new float[8 * 16];
    Arrays.fill(values, value);
    return values;
  }

  @Test
  void batchesOfAStepAreAddedUp() {
    try (EngramLayers once = layers();
        EngramLayers twice = layers()) {
      LayersTrainer one = trainer(once, TOKENS);
      LayersTrainer two = trainer(twice, TOKENS);
      float[] before = once.parameters().values().clone();
      Batch batch = batch(5);
      one.forward(1, batch, filled(1));
      one.backward(1, batch, filled(2));
      one.step();
      for (int i = 0; i < 2; i++) { // two halves
        two.forward(1, batch, filled(1));
        two.backward(1, batch, filled(1));
      }
      two.step();
      assertArrayEquals(once.parameters().values(), twice.parameters().values(), 1e-6f);
      assertNotEquals(Arrays.hashCode(before), Arrays.hashCode(once.parameters().values()));
      assertEquals(1, two.stepsDone());
    }
  }

  @Test
  void whatWouldBeWrongGradientsIsRefused() {
    try (EngramLayers layers = layers()) {
      LayersTrainer trainer = trainer(layers, 8);
      Batch batch = batch(5);
      assertThrows(IllegalStateException.class, () -> trainer.backward(1, batch, filled(1)));
      trainer.forward(1, batch, filled(1));
      trainer.forward(1, batch(6), filled(1)); // such as an evaluation
      assertThrows(IllegalStateException.class, () -> trainer.backward(1, batch, filled(1)));
      trainer.forward(1, batch, filled(1));
      trainer.backward(1, batch, filled(1));
      assertThrows(IllegalStateException.class, () -> trainer.backward(1, batch, filled(1)));
      trainer.forward(1, batch, filled(1)); // no room for a second batch
      assertThrows(IllegalStateException.class, () -> trainer.backward(1, batch, filled(1)));
      assertThrows(IllegalArgumentException.class, () -> trainer.forward(2, batch, filled(1)));
      assertThrows(IllegalArgumentException.class, () -> trainer.forward(1, batch, new float[9]));
      Batch outside = batch(40);
      assertThrows(IndexOutOfBoundsException.class, () -> trainer.forward(1, outside, filled(1)));
    }
  }

  @Test
  void gradientsThatAreNoNumbersChangeNothing() {
    try (EngramLayers layers = layers()) {
      LayersTrainer trainer = trainer(layers, 8);
      float[] before = layers.parameters().values().clone();
      Batch batch = batch(5);
      trainer.forward(3, batch, filled(1));
      trainer.backward(3, batch, filled(Float.NaN));
      assertThrows(ArithmeticException.class, trainer::step);
      assertArrayEquals(before, layers.parameters().values());
      assertEquals(0, trainer.stepsDone());
      trainer.forward(3, batch, filled(1)); // and it is forgotten
      trainer.backward(3, batch, filled(1));
      trainer.step();
      assertEquals(1, trainer.stepsDone());
    }
  }

  @Test
  void closedLayersAreRefused() {
    EngramLayers layers = layers();
    LayersTrainer trainer = trainer(layers, 8);
    layers.close();
    assertThrows(IllegalStateException.class, () -> trainer.forward(1, batch(5), filled(1)));
  }
}
