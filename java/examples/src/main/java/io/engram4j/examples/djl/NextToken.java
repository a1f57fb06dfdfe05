package io.engram4j.examples.djl;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;
import ai.djl.ndarray.types.SparseFormat;
import ai.djl.nn.AbstractBlock;
import ai.djl.nn.Block;
import ai.djl.nn.Parameter;
import ai.djl.nn.core.Embedding;
import ai.djl.nn.core.Linear;
import ai.djl.training.ParameterStore;
import ai.djl.util.PairList;
import io.engram4j.djl.EngramBlock;
import org.jspecify.annotations.Nullable;

/**
 * Embedding, Engram, linear: the smallest model that shows where the block goes. Ids in, [batch,
 * length], logits out, [batch, length, vocabulary].
 */
final class NextToken extends AbstractBlock {
  private final int vocabulary;
  private final int hidden;
  private final Parameter embedding;
  private final @Nullable Block engram;
  private final Block head;

  NextToken(int vocabulary, int hidden, @Nullable EngramBlock engram) {
    this.vocabulary = vocabulary;
    this.hidden = hidden;
    this.embedding =
        addParameter(
            Parameter.builder().setName("embedding").setType(Parameter.Type.WEIGHT).build());
    this.engram = engram == null ? null : addChildBlock("engram", engram);
    this.head = addChildBlock("head", Linear.builder().setUnits(vocabulary).build());
  }

  @Override
  protected void prepare(Shape[] inputs) {
    embedding.setShape(new Shape(vocabulary, hidden));
  }

  @Override
  protected void initializeChildBlocks(NDManager manager, DataType type, Shape... inputs) {
    head.initialize(manager, type, new Shape(1, hidden));
  }

  @Override
  protected NDList forwardInternal(
      ParameterStore store,
      NDList inputs,
      boolean training,
      @Nullable PairList<String, Object> parameters) {
    NDArray ids = inputs.singletonOrThrow();
    NDArray rows = store.getValue(embedding, ids.getDevice(), training);
    NDList states = Embedding.embedding(ids, rows, SparseFormat.DENSE);
    if (engram != null) {
      states = engram.forward(store, new NDList(ids, states.singletonOrThrow()), training);
    }
    return head.forward(store, states, training);
  }

  @Override
  public Shape[] getOutputShapes(Shape[] inputs) {
    return new Shape[] {inputs[0].addAll(new Shape(vocabulary))};
  }
}
