package io.engram4j.train;

import io.engram4j.train.model.Batch;
import io.engram4j.train.model.EngramLayers;
import io.engram4j.train.table.StepGradients;
import io.engram4j.train.table.TrainableTable;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Trains Engram layers within a model that another engine computes: forward and back layer by
 * layer, for one batch or several, then a step. For one thread at a time; the layers stay the
 * caller's.
 */
public final class LayersTrainer {
  private final EngramLayers layers;
  private final TrainOptions options;
  private final AdamW optimizer;
  private final float[] gradients;
  private final List<StepGradients> rows = new ArrayList<>();
  private final @Nullable Batch[] kept; // of each layer's last forward
  private final int[] filled; // tokens of each layer since the last step
  private final int tokens;
  private long step;

  /**
   * Begins at step 0.
   *
   * @param tokens of all batches of a step together, at most
   */
  public LayersTrainer(EngramLayers layers, TrainOptions options, int tokens) {
    this.layers = layers;
    this.options = options;
    this.tokens = tokens;
    this.optimizer = new AdamW(layers.parameters(), options);
    this.gradients = new float[layers.parameters().size()];
    for (TrainableTable table : layers.tables()) {
      int columns = layers.memory().config().columns();
      rows.add(new StepGradients(tokens, columns, table.shape().width()));
    }
    this.kept = new @Nullable Batch[rows.size()];
    this.filled = new int[rows.size()];
  }

  /** Returns the layers. */
  public EngramLayers layers() {
    return layers;
  }

  /** Adds a layer's memory to the streams, [tokens, branches * hidden size], in place. */
  public void forward(int layerId, Batch batch, float[] streams) {
    int index = layers.index(layerId);
    layers.forward(index, batch, streams);
    kept[index] = batch;
  }

  /**
   * Takes a gradient back through the layer's last {@link #forward}, in place, and keeps what rows
   * and parameters get of it for the next {@link #step}.
   *
   * @param batch the one that {@code forward} was given, and not another that is equal to it
   * @throws IllegalStateException if the layer ran another batch since, or this one was taken back
   *     already, or the batches of a step have more tokens than there is room for
   */
  @SuppressWarnings("ReferenceEquality") // what a layer keeps is of one run
  public void backward(int layerId, Batch batch, float[] dstreams) {
    int index = layers.index(layerId);
    if (kept[index] != batch) {
      throw new IllegalStateException(
          "layer "
              + layerId
              + " ran "
              + (kept[index] == null ? "nothing" : "another batch")
              + " since the batch whose gradient is taken back");
    }
    if (filled[index] + batch.tokens() > tokens) {
      throw new IllegalStateException(
          "a step has room for "
              + tokens
              + " tokens of layer "
              + layerId
              + ", not for "
              + (filled[index] + batch.tokens()));
    }
    layers.backward(index, batch, dstreams, gradients, rows.get(index), filled[index]);
    filled[index] += batch.tokens();
    kept[index] = null;
  }

  /**
   * Changes parameters and rows by what the batches since the last step gave, and forgets that.
   *
   * @throws ArithmeticException if a gradient is not a number; nothing has changed then
   */
  public void step() {
    double squares = 0;
    for (float gradient : gradients) {
      squares += (double) gradient * gradient;
    }
    double rowSquares = 0;
    for (StepGradients each : rows) {
      for (int column = 0; column < each.columns(); column++) {
        each.addUp(column);
        rowSquares += each.sums(column).squares();
      }
    }
    try {
      if (!Double.isFinite(squares) || !Double.isFinite(rowSquares)) {
        throw new ArithmeticException(
            "the gradient of step "
                + step
                + " has norm "
                + Math.sqrt(squares)
                + ", that of rows "
                + Math.sqrt(rowSquares)
                + "; parameters and rows are as before it");
      }
      float rate = options.rateAt(step);
      optimizer.step(gradients, Trainer.factor(Math.sqrt(squares), options.clip()), rate, step);
      float factor = Trainer.factor(Math.sqrt(rowSquares), options.rowClip());
      for (int layer = 0; layer < rows.size(); layer++) {
        for (int column = 0; column < rows.get(layer).columns(); column++) {
          float rowRate = rate * options.rowFactor();
          TrainableTable table = layers.tables().get(layer);
          rows.get(layer).sums(column).apply(table.writer(column), factor, rowRate, step);
        }
      }
      step++;
    } finally {
      forget();
    }
  }

  /** Forgets the batches since the last step. */
  public void forget() {
    java.util.Arrays.fill(gradients, 0f);
    java.util.Arrays.fill(filled, 0);
    java.util.Arrays.fill(kept, null);
    rows.forEach(StepGradients::clear);
  }

  /** Returns how many steps are done. */
  public long stepsDone() {
    return step;
  }
}
