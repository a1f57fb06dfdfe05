package io.engram4j.rivals;

import io.engram4j.train.table.StepGradients;
import io.engram4j.train.table.TableShape;
import io.engram4j.train.table.TrainableTable;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Locale;
import java.util.SplittableRandom;

/**
 * How long one thread takes to change 50,000 different rows in tables of 10^7 and 10^8 rows of 32,
 * both in sparse files, in turns. Each step takes other rows, of a million that were touched
 * before, so that none is in a cache. {@code ci/bench-train rows [ROUNDS]}.
 */
public final class RowSteps {
  private static final long[] ROWS = {10_000_000, 100_000_000};
  private static final int IDS = 50_000;
  private static final int SETS = 20;
  private static final int WIDTH = 32;

  private RowSteps() {}

  /** Prints the medians and their ratio. */
  public static void main(String[] args) throws IOException {
    int rounds = args.length > 0 ? Integer.parseInt(args[0]) : 5;
    Path directory = Files.createTempDirectory("row-steps");
    double[] medians = new double[ROWS.length];
    double[][] times = new double[ROWS.length][rounds * SETS];
    try (TrainableTable small = table(directory, ROWS[0]);
        TrainableTable large = table(directory, ROWS[1])) {
      TrainableTable[] tables = {small, large};
      for (int round = -1; round < rounds; round++) { // the first touches the rows
        for (int set = 0; set < SETS; set++) {
          for (int i = 0; i < ROWS.length; i++) {
            double ms = step(tables[i], set, round);
            if (round >= 0) {
              times[i][round * SETS + set] = ms;
            }
          }
        }
      }
    } finally {
      for (long rows : ROWS) {
        Files.deleteIfExists(file(directory, rows));
      }
      Files.delete(directory);
    }
    for (int i = 0; i < ROWS.length; i++) {
      Arrays.sort(times[i]);
      medians[i] = times[i][times[i].length / 2];
      System.out.printf(
          Locale.ROOT,
          "%,d ids of %,d rows: %.1f ms (%.1f to %.1f)%n",
          IDS,
          ROWS[i],
          medians[i],
          times[i][times[i].length / 20],
          times[i][times[i].length * 19 / 20]);
    }
    System.out.printf(Locale.ROOT, "row_step_10_times: %.2f%n", medians[1] / medians[0]);
  }

  private static Path file(Path directory, long rows) {
    return directory.resolve(rows + ".bin");
  }

  private static TrainableTable table(Path directory, long rows) throws IOException {
    return TrainableTable.open(file(directory, rows), TableShape.of(rows, WIDTH), -1);
  }

  private static double step(TrainableTable table, int set, int round) {
    SplittableRandom random = new SplittableRandom(set);
    StepGradients gradients = new StepGradients(IDS, 1, WIDTH);
    long[] ids = random.longs(0, table.shape().rows()).distinct().limit(IDS).toArray();
    boolean[] live = new boolean[IDS];
    Arrays.fill(live, true);
    float[] drows = new float[IDS * WIDTH];
    for (int i = 0; i < drows.length; i++) {
      drows[i] = (float) random.nextDouble() - 0.5f;
    }
    gradients.put(0, IDS, ids, live, drows);
    long began = System.nanoTime();
    gradients.addUp(0);
    gradients.sums(0).apply(table.writer(0), 1, 0.01f, round + 1);
    return (System.nanoTime() - began) / 1e6;
  }
}
