package io.engram4j.train.data;

import io.engram4j.train.model.Batch;

/** Batches by the number of their step, the same each time. Thread-safe. */
public interface Sequences {
  /** Returns the batch of a step. */
  Batch batch(long step, int sequences);

  /** Returns a line that changes where the batches do, by which a checkpoint knows them. */
  String describe();
}
