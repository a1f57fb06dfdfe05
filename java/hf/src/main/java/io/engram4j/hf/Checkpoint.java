package io.engram4j.hf;

import io.engram4j.model.EngramConfig;
import io.engram4j.model.LayerLayout;
import io.engram4j.table.Table;
import io.engram4j.weights.LayerWeights;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.util.List;

/**
 * A family of checkpoints: how it says that it is there, which fields and tensors it has, and what
 * becomes of them (docs/spec.md, section 1). One entry and one file per family.
 */
interface Checkpoint {
  /** Returns the family's name, for people. */
  String family();

  /** Returns the fields of config.json by which it tells that it is of this family. */
  List<String> marks();

  /**
   * Reads the family's fields.
   *
   * @throws IOException naming a field that is missing or wrong
   * @throws IllegalArgumentException if fields are out of range
   */
  EngramConfig config(ConfigFields fields) throws IOException;

  /** Returns the name of a layer's tensors before the names of {@link #tensors}. */
  default String prefix(int layerId) {
    return "layers." + layerId + ".engram.";
  }

  /** Returns whether ids are hashed as they are, so that no token map is needed. */
  default boolean hashesRawIds() {
    return false;
  }

  /** Returns whether tables have rows behind those that are named. */
  default boolean padsTables() {
    return false;
  }

  /**
   * Looks for the tensors with a layer's rows.
   *
   * @param wanted how many rows there must be, or -1 if the tensors tell
   */
  void findRows(FoundTensors found, RowTensors rows, long wanted);

  /** Compares what a file says of the hash with what was computed, if it says anything. */
  default void check(FoundTensors found, EngramConfig config, LayerLayout computed) {
    // most files have no such numbers
  }

  /** Returns the other tensors of a layer, as the configuration has them. */
  List<WantedTensor> tensors(EngramConfig config);

  /**
   * Makes weights of the tensors.
   *
   * @throws IOException if a file cannot be read
   */
  LayerWeights weights(EngramConfig config, FoundTensors found, Table table, Arena arena)
      throws IOException;
}
