package io.engram4j.train;

import io.engram4j.train.model.Decoder;
import io.engram4j.train.table.RowFormat;
import java.io.IOException;
import java.nio.file.Path;

/** A process that trains in a directory, going on where its last checkpoint is. */
final class KillableTraining {
  static final int STEPS = 240;

  private KillableTraining() {}

  public static void main(String[] args) throws IOException {
    Path directory = Path.of(args[0]);
    long step = Trainer.lastStep(directory);
    try (Decoder decoder =
            SmallModels.inFiles(
                TrainerTest.SHAPE, TrainerTest.MEMORY, RowFormat.F32, directory, step);
        Trainer trainer =
            step < 0
                ? new Trainer(decoder, TrainerTest.data(), TrainerTest.options())
                : Trainer.resume(directory, decoder, TrainerTest.data(), TrainerTest.options())) {
      while (trainer.stepsDone() < STEPS) {
        trainer.step();
        if (trainer.stepsDone() % 4 == 0) {
          trainer.checkpoint(directory);
        }
      }
    }
  }
}
