package io.engram4j.train;

import io.engram4j.train.model.Decoder;
import io.engram4j.train.ranks.LocalRows;
import io.engram4j.train.ranks.MappedRanks;
import io.engram4j.train.ranks.OwnedRows;
import io.engram4j.train.ranks.Ranks;
import io.engram4j.train.ranks.RowOwners;
import io.engram4j.train.table.TableShape;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;

/**
 * A rank of training in processes: {@code DIRECTORY RANK SIZE owned|shared STEPS}. Prints each
 * step's loss.
 */
public final class RankedTraining {
  private RankedTraining() {}

  private static List<TableShape> shapes() {
    return TrainerTest.MEMORY.tables(TableShape.of(1, 1));
  }

  private static Decoder decoder(RowOwners owners) {
    return new Decoder(TrainerTest.SHAPE, TrainerTest.MEMORY, owners, 1);
  }

  /** A rank's decoder, rows in memory. */
  public static Decoder decoder(Ranks ranks) {
    return decoder(OwnedRows.inMemory(ranks, shapes()));
  }

  /** A rank's decoder, rows in files as of the last checkpoint. */
  public static Decoder inFiles(Ranks ranks, Path directory) throws IOException {
    long step = Trainer.lastStep(directory, ranks);
    return decoder(OwnedRows.inFiles(ranks, shapes(), directory, step));
  }

  /** A trainer that begins. */
  public static Trainer trainer(Decoder decoder) {
    return new Trainer(decoder, TrainerTest.data(), TrainerTest.options().withThreads(1));
  }

  /** A trainer that begins, or goes on. */
  public static Trainer resumed(Decoder decoder, Path directory) throws IOException {
    TrainOptions options = TrainerTest.options().withThreads(1);
    return Trainer.lastStep(directory, decoder.owners().ranks()) < 0
        ? trainer(decoder)
        : Trainer.resume(directory, decoder, TrainerTest.data(), options);
  }

  public static void main(String[] args) throws IOException {
    Path directory = Path.of(args[0]);
    int rank = Integer.parseInt(args[1]);
    Path own = Files.createDirectories(directory.resolve("rank-" + rank));
    int steps = Integer.parseInt(args[4]);
    try (Ranks ranks =
            MappedRanks.join(
                directory.resolve("ranks"),
                rank,
                Integer.parseInt(args[2]),
                Duration.ofMinutes(1));
        Decoder decoder =
            args[3].equals("owned")
                ? inFiles(ranks, own)
                : decoder(LocalRows.shared(ranks, shapes(), directory));
        Trainer trainer = resumed(decoder, own)) {
      while (trainer.stepsDone() < steps) {
        System.out.println(trainer.step().loss());
        if (trainer.stepsDone() % 4 == 0) {
          trainer.checkpoint(own);
        }
      }
    }
  }
}
