package io.engram4j.train.data;

import io.engram4j.train.model.Batch;

/** Batches by the number of their step, the same each time. Thread-safe. */
public interface Sequences {
  /** Returns the batch of a step. */
  Batch batch(long step, int sequences);

  /** Returns the sequences of a batch, again and again. */
  static Sequences of(Batch batch) {
    return new Sequences() {
      @Override
      public Batch batch(long step, int sequences) {
        int whole = Math.max(1, batch.sequences() / sequences);
        return batch.part((int) (step % whole) * sequences, sequences);
      }

      @Override
      public String describe() {
        return batch.sequences() + " sequences, " + java.util.Arrays.hashCode(batch.ids());
      }
    };
  }

  /** Returns a line that changes where the batches do, by which a checkpoint knows them. */
  String describe();
}
