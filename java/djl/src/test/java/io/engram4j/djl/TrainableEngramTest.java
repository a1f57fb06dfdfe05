package io.engram4j.djl;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.djl.engine.Engine;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;
import ai.djl.nn.Block;
import ai.djl.training.GradientCollector;
import ai.djl.training.ParameterStore;
import io.engram4j.model.EngramConfig;
import io.engram4j.model.TokenMap;
import io.engram4j.train.LayersTrainer;
import io.engram4j.train.TrainOptions;
import io.engram4j.train.model.EngramForm;
import io.engram4j.train.model.EngramLayers;
import io.engram4j.train.model.EngramMemory;
import io.engram4j.train.table.TableShape;
import io.engram4j.train.table.TrainableTable;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalInt;
import java.util.SplittableRandom;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Two Engram layers within a model that PyTorch computes: embedding, layer, product, layer. */
class TrainableEngramTest {
  private static final int VOCABULARY = 24;
  private static final int WIDTH = 8;
  private static final int BRANCHES = 2;
  private static final int LENGTH = 6;
  private static final int SEQUENCES = 2;
  private static final int TOKENS = SEQUENCES * LENGTH;

  private final NDManager manager = NDManager.newBaseManager("PyTorch");
  private final EngramLayers layers = new EngramLayers(memory(), TableShape.of(1, 1), TOKENS, 1);
  private final LayersTrainer trainer =
      new LayersTrainer(layers, TrainOptions.defaults(20_000).withRate(3e-3f, 20), TOKENS);
  private final TrainableEngram engram = new TrainableEngram(trainer);
  private final Block first = engram.block(0);
  private final Block second = engram.block(2);
  private final ParameterStore store = new ParameterStore(manager, false);
  private final NDArray embedding = parameter(new Shape(VOCABULARY, BRANCHES * WIDTH), 1);
  private final NDArray product = parameter(new Shape(WIDTH, WIDTH), 2);
  private final NDArray head = parameter(new Shape(BRANCHES * WIDTH, VOCABULARY), 3);

  private static EngramMemory memory() {
    EngramConfig config =
        EngramConfig.builder()
            .family(EngramForm.V41.family())
            .hiddenSize(WIDTH)
            .branches(BRANCHES)
            .layerIds(List.of(0, 2))
            .ngrams(3, 50L)
            .heads(2, 32)
            .padTokenId(0)
            .normEps(EngramForm.V41.eps())
            .compressedSize(OptionalInt.of(VOCABULARY))
            .build();
    return EngramMemory.of(EngramForm.V41, config, TokenMap.identity(VOCABULARY));
  }

  private NDArray parameter(Shape shape, long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    float[] values = new float[(int) shape.size()];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) (0.4 * random.nextGaussian());
    }
    NDArray made = manager.create(values, shape);
    made.setRequiresGradient(true);
    return made;
  }

  @AfterEach
  void close() {
    layers.close();
    manager.close();
  }

  private static long[] ids(SplittableRandom random) {
    return random.longs(TOKENS, 0, VOCABULARY).toArray();
  }

  /** The loss of predicting what follows, by a rule that needs the two tokens before. */
  private NDArray loss(NDManager own, long[] ids, boolean training) {
    NDArray tokens = own.create(ids, new Shape(SEQUENCES, LENGTH));
    NDArray hidden = embedding.get(tokens); // attached to the parameter's manager
    hidden.attach(own);
    hidden = hidden.reshape(SEQUENCES, LENGTH, BRANCHES, WIDTH);
    hidden = first.forward(store, new NDList(tokens, hidden), training).head();
    hidden = hidden.add(hidden.matMul(product));
    hidden = second.forward(store, new NDList(tokens, hidden), training).head();
    NDArray logits = hidden.reshape(TOKENS, BRANCHES * WIDTH).matMul(head);
    long[] targets = new long[TOKENS];
    for (int i = 0; i < TOKENS; i++) {
      long before = i % LENGTH == 0 ? 0 : ids[i - 1];
      targets[i] = (before * 7 + ids[i] * 5) % VOCABULARY;
    }
    NDArray wanted = own.create(targets, new Shape(TOKENS, 1));
    return logits.logSoftmax(1).gather(wanted, 1).mean().neg();
  }

  private void clear() {
    for (NDArray each : List.of(embedding, product, head)) {
      try (NDArray gradient = each.getGradient()) {
        gradient.muli(0);
      }
    }
  }

  private double backward(long[] ids) {
    try (NDManager own = manager.newSubManager();
        GradientCollector collector = Engine.getEngine("PyTorch").newGradientCollector()) {
      NDArray loss = loss(own, ids, true);
      engram.backward(collector, loss);
      return loss.getFloat();
    }
  }

  @Test
  void gradientsGoThroughBothLayers() {
    SplittableRandom random = new SplittableRandom(5);
    float[] row = new float[32];
    for (TrainableTable table : layers.tables()) {
      for (long i = 0; i < table.shape().rows(); i++) {
        for (int j = 0; j < row.length; j++) {
          row[j] = (float) random.nextGaussian();
        }
        table.set(i, row, 0);
      }
    }
    long[] ids = ids(random);
    backward(ids);
    for (NDArray parameter : List.of(embedding, product, head)) {
      float[] gradient;
      try (NDArray own = parameter.getGradient()) {
        gradient = own.toFloatArray();
      }
      double most = 0;
      double worst = 0;
      float[] values = parameter.toFloatArray();
      for (int i = 0; i < values.length; i += 5) {
        double best = Double.MAX_VALUE;
        for (float h : new float[] {1e-2f, 3e-3f}) {
          double slope =
              (at(parameter, values, i, h, ids) - at(parameter, values, i, -h, ids)) / (2 * h);
          best = Math.min(best, Math.abs(slope - gradient[i]));
        }
        worst = Math.max(worst, best);
        most = Math.max(most, Math.abs(gradient[i]));
      }
      assertTrue(most > 1e-3, "no gradient: " + most);
      assertTrue(worst < 0.02 * most, "worst " + worst + " of " + most);
    }
  }

  /** The loss where one number of a parameter is another. */
  private double at(NDArray parameter, float[] values, int index, float change, long[] ids) {
    float[] moved = values.clone();
    moved[index] += change;
    parameter.set(moved);
    try (NDManager own = manager.newSubManager()) {
      return loss(own, ids, false).getFloat();
    } finally {
      parameter.set(values);
    }
  }

  @Test
  void tenThousandStepsLearnAndLeaveNothing() throws IOException {
    SplittableRandom random = new SplittableRandom(6);
    double early = 0;
    double late = 0;
    int arrays = 0;
    long memory = 0;
    for (int step = 0; step < 10_000; step++) {
      double loss = backward(ids(random));
      clear(); // what PyTorch computes stays as it is: only rows and projections learn
      engram.step();
      early += step < 200 ? loss / 200 : 0;
      late += step >= 9_800 ? loss / 200 : 0;
      if (step == 1_000) {
        arrays = manager.getManagedArrays().size();
        memory = resident();
      }
    }
    assertEquals(arrays, manager.getManagedArrays().size());
    assertTrue(resident() - memory < 60_000, memory + " kB, then " + resident());
    assertTrue(late < 0.6 * early, early + ", then " + late);
    assertEquals(10_000, trainer.stepsDone());
  }

  private static long resident() throws IOException {
    for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
      if (line.startsWith("VmRSS:")) {
        return Long.parseLong(line.replaceAll("\\D", ""));
      }
    }
    return 0;
  }

  @Test
  void whatDoesNotFitIsRefused() {
    assertThrows(IllegalArgumentException.class, () -> engram.block(1));
    try (NDManager own = manager.newSubManager()) {
      NDArray tokens = own.zeros(new Shape(SEQUENCES, LENGTH), DataType.INT64);
      NDArray narrow = own.zeros(new Shape(SEQUENCES, LENGTH, BRANCHES, WIDTH - 1));
      IllegalArgumentException refused =
          assertThrows(
              IllegalArgumentException.class,
              () -> first.forward(store, new NDList(tokens, narrow), true));
      assertTrue(refused.toString().contains("[batch, length, 2, 8]"), refused.toString());
      NDArray large = own.ones(new Shape(SEQUENCES, LENGTH), DataType.INT64).mul(VOCABULARY);
      NDArray hidden = own.zeros(new Shape(SEQUENCES, LENGTH, BRANCHES, WIDTH));
      assertThrows(
          IndexOutOfBoundsException.class,
          () -> first.forward(store, new NDList(large, hidden), true));
    }
    engram.forget();
  }

  @Test
  void aModelThatLearnsNothingBelowStillTeachesRows() {
    try (NDManager own = manager.newSubManager();
        GradientCollector collector = Engine.getEngine("PyTorch").newGradientCollector()) {
      NDArray tokens = own.create(ids(new SplittableRandom(7)), new Shape(SEQUENCES, LENGTH));
      NDArray hidden = own.ones(new Shape(SEQUENCES, LENGTH, BRANCHES, WIDTH)); // no parameter
      NDArray out = first.forward(store, new NDList(tokens, hidden), true).head();
      engram.backward(collector, out.square().sum());
    }
    float[] before = layers.parameters().values().clone();
    engram.step();
    assertFalse(Arrays.equals(before, layers.parameters().values()));
  }

  @Test
  void aBlockThatRanTwiceIsRefused() {
    try (NDManager own = manager.newSubManager();
        GradientCollector collector = Engine.getEngine("PyTorch").newGradientCollector()) {
      NDArray tokens = own.create(ids(new SplittableRandom(7)), new Shape(SEQUENCES, LENGTH));
      NDList inputs = new NDList(tokens, own.ones(new Shape(SEQUENCES, LENGTH, BRANCHES, WIDTH)));
      NDArray out = first.forward(store, inputs, true).head();
      assertThrows(IllegalStateException.class, () -> first.forward(store, inputs, true));
      first.forward(store, inputs, false); // an evaluation in between
      NDArray loss = out.sum();
      assertThrows(IllegalStateException.class, () -> engram.backward(collector, loss));
      first.forward(store, inputs, true); // all is forgotten
      engram.forget();
    }
  }
}
