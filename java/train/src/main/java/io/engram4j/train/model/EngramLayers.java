package io.engram4j.train.model;

import io.engram4j.model.LayerLayout;
import io.engram4j.train.kernel.Gemm;
import io.engram4j.train.kernel.HashStage;
import io.engram4j.train.table.StepGradients;
import io.engram4j.train.table.TableShape;
import io.engram4j.train.table.TrainableTable;
import java.util.ArrayList;
import java.util.List;

/**
 * Engram layers alone, for a model that another engine computes. Keeps what the way back needs, one
 * batch for each layer. For one thread at a time. Owns its tables.
 */
public final class EngramLayers implements EngramWeights, AutoCloseable {
  private final EngramMemory memory;
  private final Parameters parameters;
  private final List<TrainableTable> tables = new ArrayList<>();
  private final List<EngramBlock> blocks = new ArrayList<>();
  private final int tokens;

  /**
   * Makes layers whose tables lie in memory.
   *
   * @param like how tables are kept; rows and width are the layers'
   * @param tokens of a batch, at most
   */
  public EngramLayers(EngramMemory memory, TableShape like, int tokens, long seed) {
    this.memory = memory;
    this.tokens = tokens;
    Parameters.Builder builder = new Parameters.Builder(seed);
    List<EngramBlock.At> places = new ArrayList<>();
    for (int layer : memory.config().layerIds()) {
      places.add(DecoderTensors.engram(memory.config(), memory.form(), layer, builder));
    }
    this.parameters = builder.build();
    int pad = memory.map().get(memory.config().padTokenId());
    Gemm gemm = new Gemm();
    List<LayerLayout> layouts = memory.layouts();
    try {
      for (int i = 0; i < layouts.size(); i++) {
        tables.add(TrainableTable.inMemory(memory.tables(like).get(i)));
        blocks.add(
            new EngramBlock(
                memory.config(),
                memory.form(),
                parameters.values(),
                places.get(i),
                new HashStage(layouts.get(i), memory.map().toArray(), pad),
                tables.get(i),
                gemm,
                tokens));
      }
    } catch (Throwable e) {
      close();
      throw e;
    }
  }

  /**
   * Returns the place of a layer among these.
   *
   * @throws IllegalArgumentException if it has no Engram
   */
  public int index(int layerId) {
    int index = memory.config().layerIds().indexOf(layerId);
    if (index < 0) {
      throw new IllegalArgumentException(
          "layer " + layerId + " has no Engram; there are " + memory.config().layerIds());
    }
    return index;
  }

  /**
   * Adds a layer's memory to the streams, in place.
   *
   * @param streams [tokens, branches * hidden size]
   * @throws IllegalArgumentException if the batch is too large, or the streams are of another size
   * @throws IndexOutOfBoundsException if an id is not in the token map
   */
  public void forward(int index, Batch batch, float[] streams) {
    require(batch, streams);
    for (int id : batch.ids()) {
      java.util.Objects.checkIndex(id, memory.map().size());
    }
    blocks.get(index).forward(streams, batch);
  }

  /**
   * Takes the gradient of the streams back through a layer, in place, of its last {@link #forward}.
   *
   * @param gradients of all parameters, added to
   * @param rows takes the rows' gradients, from token {@code first} on
   */
  public void backward(
      int index, Batch batch, float[] dstreams, float[] gradients, StepGradients rows, int first) {
    require(batch, dstreams);
    blocks.get(index).backward(dstreams, batch, gradients, rows, first);
  }

  private void require(Batch batch, float[] streams) {
    int width = memory.config().streamWidth();
    if (batch.tokens() > tokens || streams.length != batch.tokens() * width) {
      throw new IllegalArgumentException(
          batch.tokens()
              + " tokens of at most "
              + tokens
              + ", "
              + streams.length
              + " numbers in streams of "
              + width);
    }
  }

  @Override
  public EngramMemory memory() {
    return memory;
  }

  @Override
  public Parameters parameters() {
    return parameters;
  }

  @Override
  public List<TrainableTable> tables() {
    return List.copyOf(tables);
  }

  @Override
  public void close() {
    tables.forEach(TrainableTable::close);
  }
}
