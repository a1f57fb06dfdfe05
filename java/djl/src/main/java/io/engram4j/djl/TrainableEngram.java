package io.engram4j.djl;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;
import ai.djl.nn.AbstractBlock;
import ai.djl.nn.Block;
import ai.djl.training.GradientCollector;
import ai.djl.training.ParameterStore;
import ai.djl.util.PairList;
import io.engram4j.train.LayersTrainer;
import io.engram4j.train.model.Batch;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Engram layers that learn inside a model of DJL, whatever else that model is and wherever it runs.
 * Each layer is a block ({@link #block}); its rows and projections are no parameters of DJL, but
 * are trained here, on the host.
 *
 * <pre>{@code
 * try (GradientCollector collector = Engine.getInstance().newGradientCollector()) {
 *   NDArray loss = ...; // of a model that has blocks of this in it
 *   engram.backward(collector, loss); // in place of collector.backward(loss)
 * }
 * trainer.step(); // DJL's parameters
 * engram.step(); // these
 * }</pre>
 *
 * <p>A block cuts DJL's graph: what comes out of it is a new leaf. {@link #backward} takes the
 * gradient of the loss to the last leaf, back through that layer here, and on into the graph below
 * by the product of the hidden states with it, layer by layer. A block may run once before each
 * {@link #backward}, and not for evaluation between the two: a layer keeps one run. For one thread
 * at a time; the trainer stays the caller's. Tested with PyTorch.
 */
public final class TrainableEngram {
  private final LayersTrainer trainer;
  private final List<Spliced> spliced = new ArrayList<>();

  /** A place where the graph was cut. */
  private record Spliced(int layerId, Batch batch, NDArray hidden, NDArray leaf) {}

  /** Trains layers. */
  public TrainableEngram(LayersTrainer trainer) {
    this.trainer = trainer;
  }

  /**
   * Returns a layer as a block. Inputs are token ids, INT32 or INT64 [batch, length], and hidden
   * states, FLOAT32 [batch, length, branches, hidden size] or without the branches where there is
   * one; the output is the hidden states with memory added.
   *
   * @throws IllegalArgumentException if that layer has no Engram
   */
  public Block block(int layerId) {
    trainer.layers().index(layerId);
    return new LayerBlock(layerId);
  }

  /**
   * Does what {@code collector.backward(loss)} does, and goes on through the blocks that were run
   * since the last time. Their arrays are closed.
   *
   * @throws IllegalStateException if a block ran again since, such as for evaluation
   */
  public void backward(GradientCollector collector, NDArray loss) {
    try {
      collector.backward(loss);
      for (int i = spliced.size() - 1; i >= 0; i--) {
        back(collector, spliced.get(i));
      }
    } finally {
      forget();
    }
  }

  private void back(GradientCollector collector, Spliced cut) {
    try (NDManager own = cut.leaf().getManager().newSubManager()) {
      NDArray gradient = cut.leaf().getGradient();
      gradient.attach(own);
      float[] values = gradient.toFloatArray();
      trainer.backward(cut.layerId(), cut.batch(), values);
      // DJL's backward takes no gradient to begin with; that of this product is the one wanted
      NDArray toward = own.create(values, cut.hidden().getShape());
      NDArray product = cut.hidden().mul(toward);
      product.attach(own);
      // a leaf of its own, since there may be nothing below that learns, which is an error to
      // PyTorch
      NDArray anchor = own.create(0f);
      anchor.setRequiresGradient(true);
      NDArray sum = product.sum().add(anchor);
      collector.backward(sum);
    }
  }

  /** Forgets blocks that were run, where no {@link #backward} follows. */
  public void forget() {
    spliced.forEach(cut -> cut.leaf().close());
    spliced.clear();
  }

  /** Changes rows and projections by what was taken back since the last step. */
  public void step() {
    trainer.step();
  }

  private final class LayerBlock extends AbstractBlock {
    private final int layerId;

    LayerBlock(int layerId) {
      this.layerId = layerId;
      this.inputNames = List.of("ids", "hidden");
    }

    @Override
    protected NDList forwardInternal(
        ParameterStore store,
        NDList inputs,
        boolean training,
        @Nullable PairList<String, Object> parameters) {
      check(inputs);
      NDArray ids = inputs.get(0);
      NDArray hidden = inputs.get(1);
      Batch batch = batch(ids);
      float[] values;
      try (NDArray detached = hidden.stopGradient()) {
        values = detached.toFloatArray();
      }
      if (training && spliced.stream().anyMatch(cut -> cut.layerId() == layerId)) {
        throw new IllegalStateException(
            "the block of layer " + layerId + " ran already, and no backward has followed");
      }
      trainer.forward(layerId, batch, values);
      NDArray leaf = hidden.getManager().create(values, hidden.getShape());
      if (training) {
        leaf.setRequiresGradient(true);
        spliced.add(new Spliced(layerId, batch, hidden, leaf));
      }
      return new NDList(leaf);
    }

    private Batch batch(NDArray ids) {
      int sequences = Math.toIntExact(ids.getShape().get(0));
      int length = Math.toIntExact(ids.getShape().get(1));
      int[] all =
          ids.getDataType() == DataType.INT32
              ? ids.toIntArray()
              : Arrays.stream(ids.toLongArray()).mapToInt(Math::toIntExact).toArray();
      int[] targets = new int[all.length];
      Arrays.fill(targets, -1);
      int[] start = new int[all.length];
      Arrays.setAll(start, i -> i / length * length);
      boolean[] live = new boolean[all.length];
      Arrays.fill(live, true);
      return new Batch(sequences, length, all, targets, start, live);
    }

    private void check(NDList inputs) {
      int branches = trainer.layers().memory().config().branches();
      int width = trainer.layers().memory().config().hiddenSize();
      if (inputs.size() != 2) {
        throw new IllegalArgumentException(
            "an Engram block takes 2 inputs, token ids and hidden states, not " + inputs.size());
      }
      Shape ids = inputs.get(0).getShape();
      Shape hidden = inputs.get(1).getShape();
      DataType type = inputs.get(0).getDataType();
      boolean flat = branches == 1 && hidden.dimension() == 3;
      if (inputs.get(1).getDataType() != DataType.FLOAT32
          || (type != DataType.INT32 && type != DataType.INT64)
          || ids.dimension() != 2
          || !(flat || (hidden.dimension() == 4 && hidden.get(2) == branches))
          || hidden.get(hidden.dimension() - 1) != width
          || ids.get(0) != hidden.get(0)
          || ids.get(1) != hidden.get(1)) {
        throw new IllegalArgumentException(
            "ids are INT32 or INT64 [batch, length] and hidden states FLOAT32 [batch, length, "
                + branches
                + ", "
                + width
                + "], not "
                + type
                + " "
                + ids
                + " and "
                + inputs.get(1).getDataType()
                + " "
                + hidden);
      }
    }

    @Override
    public Shape[] getOutputShapes(Shape[] inputShapes) {
      return new Shape[] {inputShapes[1]};
    }
  }
}
