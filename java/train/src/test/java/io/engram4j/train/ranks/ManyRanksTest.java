package io.engram4j.train.ranks;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.train.RankedTraining;
import io.engram4j.train.Trainer;
import io.engram4j.train.files.RowRanges;
import io.engram4j.train.model.Decoder;
import io.engram4j.train.table.TrainableTable;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Ranks that own rows train what one process trains. */
class ManyRanksTest {
  private static final int STEPS = 30;

  @TempDir private Path directory;

  /** What a rank trained: losses, parameters and the rows that it owns. */
  @SuppressWarnings("ArrayRecordComponent") // views, never compared or hashed
  private record Trained(double[] losses, double[] norms, float[] parameters, List<float[]> rows) {}

  private static Trained train(Ranks ranks, int steps) {
    try (Decoder decoder = RankedTraining.decoder(ranks);
        Trainer trainer = RankedTraining.trainer(decoder)) {
      double[] losses = new double[steps];
      double[] norms = new double[2];
      for (int i = 0; i < steps; i++) {
        Trainer.Result result = trainer.step();
        losses[i] = result.loss();
        if (i == 0) {
          norms = new double[] {result.norm(), result.rowNorm()};
        }
      }
      return new Trained(losses, norms, decoder.parameters().values().clone(), rows(decoder));
    }
  }

  private static List<float[]> rows(Decoder decoder) {
    List<float[]> rows = new ArrayList<>();
    for (TrainableTable table : decoder.tables()) {
      int width = table.shape().width();
      for (long row = table.shape().first(); table.shape().holds(row); row++) {
        float[] values = new float[width];
        table.read(row, values, 0);
        rows.add(values);
      }
    }
    return rows;
  }

  private static double worst(float[] expected, float[] actual) {
    assertEquals(expected.length, actual.length);
    double worst = 0;
    for (int i = 0; i < expected.length; i++) {
      worst = Math.max(worst, Math.abs(expected[i] - actual[i]));
    }
    return worst;
  }

  /** The largest differences of ranks from one process. */
  private double[] differences(int size) {
    Trained one = train(Ranks.alone(), STEPS);
    assertTrue(one.losses()[STEPS - 1] < one.losses()[0] - 0.1, Arrays.toString(one.losses()));
    List<Trained> all = MappedRanksTest.together(directory, size, ranks -> train(ranks, STEPS));
    List<float[]> rows = new ArrayList<>();
    for (Trained each : all) {
      rows.addAll(each.rows());
      assertArrayEquals(all.getFirst().parameters(), each.parameters());
      assertArrayEquals(all.getFirst().losses(), each.losses());
    }
    double first = Math.abs(all.getFirst().losses()[0] / one.losses()[0] - 1);
    for (int i = 0; i < 2; i++) {
      first = Math.max(first, Math.abs(all.getFirst().norms()[i] / one.norms()[i] - 1));
    }
    double loss = 0;
    for (int i = 0; i < STEPS; i++) {
      loss = Math.max(loss, Math.abs(one.losses()[i] - all.getFirst().losses()[i]));
    }
    double row = 0;
    assertEquals(one.rows().size(), rows.size());
    for (int i = 0; i < rows.size(); i++) {
      row = Math.max(row, worst(one.rows().get(i), rows.get(i)));
    }
    double parameters = worst(one.parameters(), all.getFirst().parameters());
    System.out.printf(
        "%d ranks: first step %.1g, loss %.1g, parameters %.1g, rows %.1g from one process%n",
        size, first, loss, parameters, row);
    return new double[] {first, loss, parameters, row};
  }

  @Test
  void ranksTrainWhatOneProcessDoes() {
    // of what is added up in another order, and no more; Adam and RMSprop make a step of each
    // gradient however small, so that later steps drift
    for (int size : new int[] {2, 4}) {
      double[] differences = differences(size);
      assertTrue(differences[0] < 1e-6, size + " ranks, first step " + differences[0]);
      assertTrue(differences[1] < 0.02, size + " ranks, loss " + differences[1]);
    }
    assertArrayEquals(new double[4], differences(1));
  }

  @Test
  void theSameRanksGiveTheSameBits() {
    List<Trained> first = MappedRanksTest.together(directory, 3, ranks -> train(ranks, 8));
    List<Trained> again = MappedRanksTest.together(directory, 3, ranks -> train(ranks, 8));
    for (int rank = 0; rank < 3; rank++) {
      assertArrayEquals(first.get(rank).parameters(), again.get(rank).parameters());
      for (int i = 0; i < first.get(rank).rows().size(); i++) {
        assertArrayEquals(first.get(rank).rows().get(i), again.get(rank).rows().get(i));
      }
    }
  }

  private Path of(Ranks ranks, String run) {
    return directory.resolve(run).resolve("rank-" + ranks.rank());
  }

  private Trained inFiles(Ranks ranks, String run, int steps) throws IOException {
    Path own = Files.createDirectories(of(ranks, run));
    try (Decoder decoder = RankedTraining.inFiles(ranks, own);
        Trainer trainer = RankedTraining.resumed(decoder, own)) {
      while (trainer.stepsDone() < steps) {
        trainer.step();
      }
      trainer.checkpoint(own);
      return new Trained(
          new double[0], new double[0], decoder.parameters().values().clone(), rows(decoder));
    }
  }

  private static void assertSame(List<Trained> expected, List<Trained> actual) {
    for (int rank = 0; rank < expected.size(); rank++) {
      assertArrayEquals(expected.get(rank).parameters(), actual.get(rank).parameters());
      for (int i = 0; i < expected.get(rank).rows().size(); i++) {
        assertArrayEquals(expected.get(rank).rows().get(i), actual.get(rank).rows().get(i));
      }
    }
  }

  @Test
  void ranksGoOnFromTheirCheckpoint() {
    Path at = directory.resolve("at");
    List<Trained> whole = MappedRanksTest.together(at, 2, ranks -> inFiles(ranks, "whole", 12));
    for (int steps : new int[] {5, 9, 12}) {
      List<Trained> parts =
          MappedRanksTest.together(at, 2, ranks -> inFiles(ranks, "parts", steps));
      if (steps == 12) {
        assertSame(whole, parts);
      }
    }
  }

  @Test
  void aCheckpointThatCountsOnOneRankCountsOnAll() throws IOException {
    Path at = directory.resolve("at");
    List<Trained> whole = MappedRanksTest.together(at, 2, ranks -> inFiles(ranks, "whole", 12));
    MappedRanksTest.together(at, 2, ranks -> inFiles(ranks, "cut", 4));
    Path kept = directory.resolve("cut/rank-1/checkpoint.bin");
    byte[] older = Files.readAllBytes(kept);
    // rank 1 dies when rank 0 has renamed its checkpoint and it has not
    Files.delete(kept);
    Files.createDirectory(kept);
    assertThrows(
        IllegalStateException.class,
        () -> MappedRanksTest.together(at, 2, ranks -> inFiles(ranks, "cut", 8)));
    Files.delete(kept);
    Files.write(kept, older);
    assertSame(whole, MappedRanksTest.together(at, 2, ranks -> inFiles(ranks, "cut", 12)));
  }

  @Test
  void otherNumbersOfRanksGoOnFromRangesOfRows() {
    Path at = directory.resolve("at");
    List<Double> next =
        MappedRanksTest.together(
            at,
            2,
            ranks -> {
              inFiles(ranks, "two", 12);
              try (Decoder decoder = RankedTraining.inFiles(ranks, of(ranks, "two"));
                  Trainer trainer = RankedTraining.resumed(decoder, of(ranks, "two"))) {
                TrainableTable table = decoder.tables().getFirst();
                RowRanges.write(
                    table, table.shape().first(), table.shape().rows(), range(ranks.rank()));
                return trainer.step().loss();
              }
            });
    for (int size : new int[] {1, 4}) {
      List<Double> losses =
          MappedRanksTest.together(
              at,
              size,
              ranks -> {
                try (Decoder decoder = RankedTraining.decoder(ranks)) {
                  for (int file = 0; file < 2; file++) {
                    RowRanges.read(range(file), decoder.tables().getFirst());
                  }
                  Path dense = directory.resolve("two").resolve("rank-0");
                  try (Trainer trainer = RankedTraining.resumed(decoder, dense)) {
                    assertEquals(12, trainer.stepsDone());
                    return trainer.step().loss();
                  }
                }
              });
      losses.forEach(loss -> assertEquals(next.getFirst(), loss, 1e-6));
    }
  }

  private Path range(int rank) {
    return directory.resolve("rows-0-of-rank-" + rank + ".safetensors");
  }

  @Test
  void whatDoesNotFitIsRefusedByAll() {
    String groups =
        assertThrows(
                IllegalStateException.class,
                () -> MappedRanksTest.together(directory, 5, ranks -> train(ranks, 1)))
            .toString();
    assertTrue(groups.contains("4 groups") && groups.contains("5 ranks"), groups);
    assertThrows(
        IllegalStateException.class,
        () -> {
          MappedRanksTest.together(directory, 2, ranks -> inFiles(ranks, "two", 1));
          MappedRanksTest.together(directory, 4, ranks -> inFiles(ranks, "two", 2));
        });
  }
}
