package io.engram4j.train.model;

import io.engram4j.train.table.TrainableTable;
import java.util.List;

/** Engram layers with what they learned: a decoder's, or those within another engine's model. */
public interface EngramWeights {
  /** Returns the layers' form, configuration and token map. */
  EngramMemory memory();

  /** Returns the dense parameters; tensors of layer N begin with {@code layers.N.engram.}. */
  Parameters parameters();

  /** Returns the tables, in the order of the layers. */
  List<TrainableTable> tables();
}
