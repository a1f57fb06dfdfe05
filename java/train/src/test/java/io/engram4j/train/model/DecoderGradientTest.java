package io.engram4j.train.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.model.TokenMap;
import io.engram4j.train.SmallModels;
import io.engram4j.train.table.StepGradients;
import io.engram4j.train.table.TrainableTable;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

/** The way back through a whole decoder, against differences of its loss. */
class DecoderGradientTest {
  private static final int VOCABULARY = 40;
  private static final int CONTEXT = 12;

  private record Case(String name, int streams, EngramForm form, boolean memory, int experts) {
    Case(String name, int streams, EngramForm form, boolean memory) {
      this(name, streams, form, memory, 0);
    }
  }

  private static Batch batch(SplittableRandom random) {
    int tokens = 2 * CONTEXT;
    int[] ids = new int[tokens];
    int[] targets = new int[tokens];
    int[] start = new int[tokens];
    boolean[] live = new boolean[tokens];
    for (int i = 0; i < tokens; i++) {
      ids[i] = random.nextInt(VOCABULARY);
      targets[i] = random.nextInt(VOCABULARY);
      start[i] = i < CONTEXT ? 0 : i < CONTEXT + 5 ? CONTEXT : CONTEXT + 5;
      live[i] = i % 7 != 6;
    }
    targets[tokens - 1] = -1;
    return new Batch(2, CONTEXT, ids, targets, start, live);
  }

  private static Decoder decoder(Case which, SplittableRandom random) {
    DecoderShape shape =
        new DecoderShape(VOCABULARY, 16, 2, 2, 24, which.streams(), CONTEXT)
            .withInner(24, which.experts(), 8);
    EngramMemory memory =
        which.memory()
            ? SmallModels.memory(
                shape, which.form(), TokenMap.identity(VOCABULARY), List.of(0, 1), 30)
            : EngramMemory.NONE;
    Decoder decoder = SmallModels.inMemory(shape, memory, 1);
    float[] values = decoder.parameters().values();
    for (int i = 0; i < values.length; i++) { // nothing stays at zero, where slopes hide
      values[i] += (float) (0.1 * random.nextGaussian());
    }
    float[] row = new float[32];
    for (TrainableTable table : decoder.tables()) {
      for (long i = 0; i < table.shape().rows(); i++) {
        for (int j = 0; j < row.length; j++) {
          row[j] = (float) random.nextGaussian();
        }
        table.set(i, row, 0);
      }
    }
    return decoder;
  }

  private static double loss(Decoder decoder, Batch batch) {
    return decoder.newPass(batch.tokens()).forward(batch) / batch.targetCount();
  }

  /** The slope of the loss along a direction, by four points. */
  private static double slope(
      Decoder decoder, Batch batch, float[] values, int at, float[] direction, double h) {
    float[] kept = Arrays.copyOfRange(values, at, at + direction.length);
    double[] f = new double[4];
    double[] places = {-2, -1, 1, 2};
    for (int p = 0; p < 4; p++) {
      for (int i = 0; i < direction.length; i++) {
        values[at + i] = (float) (kept[i] + places[p] * h * direction[i]);
      }
      f[p] = loss(decoder, batch);
    }
    System.arraycopy(kept, 0, values, at, kept.length);
    return (f[0] - 8 * f[1] + 8 * f[2] - f[3]) / (12 * h);
  }

  @Test
  void everyTensorHasTheSlopeOfTheLoss() {
    int cases = 0;
    for (Case which :
        List.of(
            new Case("dense", 1, EngramForm.V41, false),
            new Case("three experts", 1, EngramForm.V41, false, 3),
            new Case("V4.1", 1, EngramForm.V41, true),
            new Case("V4.1, two streams, two experts", 2, EngramForm.V41, true, 2),
            new Case("V4.1, four streams", 4, EngramForm.V41, true),
            new Case("paper", 1, EngramForm.PAPER, true),
            new Case("paper, two streams", 2, EngramForm.PAPER, true))) {
      SplittableRandom random = new SplittableRandom(7);
      try (Decoder decoder = decoder(which, random)) {
        Batch batch = batch(random);
        float[] gradients = new float[decoder.parameters().size()];
        List<StepGradients> rows = new ArrayList<>();
        decoder.tables().forEach(table -> rows.add(new StepGradients(batch.tokens(), 6, 32)));
        Pass pass = decoder.newPass(batch.tokens());
        pass.forward(batch);
        pass.backward(batch, 1f / batch.targetCount(), gradients, rows, 0);
        float[] values = decoder.parameters().values();
        for (Parameters.Tensor tensor : decoder.parameters().tensors()) {
          float[] gradient =
              Arrays.copyOfRange(gradients, tensor.at(), tensor.at() + tensor.size());
          double norm = norm(gradient);
          assertTrue(norm > 0, which.name() + " " + tensor.name() + " has no gradient");
          for (boolean along : new boolean[] {true, false}) {
            float[] direction = new float[gradient.length];
            double expected = 0;
            for (int i = 0; i < direction.length; i++) {
              direction[i] =
                  (float)
                      (along
                          ? gradient[i] / norm
                          : random.nextGaussian() / Math.sqrt(direction.length));
              expected += (double) direction[i] * gradient[i];
            }
            double error = Double.MAX_VALUE;
            // the root of a dot product near zero is so steep that a step may jump over it
            for (double h : new double[] {1e-2, 3e-3, 1e-3, 3e-4, 1e-4}) {
              double slope = slope(decoder, batch, values, tensor.at(), direction, h);
              error = Math.min(error, Math.abs(slope - expected) / norm);
            }
            assertTrue(
                error < 0.006, which.name() + " " + tensor.name() + " " + along + " " + error);
            cases++;
          }
        }
        cases += rows(which, decoder, batch, rows);
      }
    }
    System.getLogger("gradients").log(System.Logger.Level.INFO, cases + " directions");
    assertTrue(cases > 180, cases + " cases");
  }

  private static double norm(float[] values) {
    double sum = 0;
    for (float value : values) {
      sum += (double) value * value;
    }
    return Math.sqrt(sum);
  }

  /** Moves each touched row along its gradient, by the table itself. */
  private static int rows(Case which, Decoder decoder, Batch batch, List<StepGradients> rows) {
    int cases = 0;
    for (int layer = 0; layer < rows.size(); layer++) {
      TrainableTable table = decoder.tables().get(layer);
      for (int column = 0; column < 6; column++) {
        rows.get(layer).addUp(column);
        double squares = rows.get(layer).sums(column).squares();
        assertTrue(squares > 0);
        float[] before = new float[32 * (int) table.shape().rows()];
        for (int row = 0; row < table.shape().rows(); row++) {
          table.read(row, before, 32 * row);
        }
        double h = 2e-3 / Math.sqrt(squares);
        double[] f = new double[2];
        for (int side = 0; side < 2; side++) {
          for (int i = 0; i < rows.get(layer).sums(column).size(); i++) {
            long id = rows.get(layer).sums(column).row(i);
            float[] row = Arrays.copyOfRange(before, 32 * (int) id, 32 * (int) id + 32);
            float[] gradient = rows.get(layer).sums(column).sum(i);
            for (int j = 0; j < 32; j++) {
              row[j] += (float) ((2 * side - 1) * h * gradient[j]);
            }
            table.set(id, row, 0);
          }
          f[side] = loss(decoder, batch);
        }
        for (int row = 0; row < table.shape().rows(); row++) {
          table.set(row, before, 32 * row);
        }
        assertEquals(
            1, (f[1] - f[0]) / (2 * h) / squares, 0.02, which.name() + " " + layer + " " + column);
        cases++;
      }
    }
    return cases;
  }
}
