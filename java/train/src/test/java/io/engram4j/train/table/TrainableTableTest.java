package io.engram4j.train.table;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TrainableTableTest {
  private static final int WIDTH = 8;
  private static final List<RowOptimizer> OPTIMIZERS =
      List.of(
          RowOptimizer.RmsProp.DEFAULT,
          RowOptimizer.Adagrad.DEFAULT,
          RowOptimizer.LazyAdam.DEFAULT);

  @TempDir private Path directory;

  private static TableShape shape(RowFormat format, RowOptimizer optimizer) {
    return new TableShape(0, 1000, WIDTH, format, optimizer, 7);
  }

  /** Trains some steps on gradients drawn by a seed; columns have 500 rows each. */
  private static void train(TrainableTable table, int steps, long from) {
    StepGradients step = new StepGradients(64, 2, WIDTH);
    for (int s = 0; s < steps; s++) {
      SplittableRandom random = new SplittableRandom(from + s);
      long[] rows = new long[128];
      float[] gradients = new float[128 * WIDTH];
      boolean[] live = new boolean[64];
      for (int i = 0; i < 128; i++) {
        rows[i] = random.nextInt(40) + 500L * (i % 2); // many tokens name the same
      }
      for (int i = 0; i < gradients.length; i++) {
        gradients[i] = (float) random.nextGaussian();
      }
      Arrays.fill(live, true);
      live[3] = false;
      step.clear();
      step.put(0, 64, rows, live, gradients);
      for (int column = 0; column < 2; column++) {
        step.addUp(column);
        step.sums(column).apply(table.writer(column), 0.5f, 0.01f, from + s);
      }
    }
  }

  private static float[] all(TrainableTable table) {
    int rows = (int) table.shape().rows();
    float[] values = new float[rows * WIDTH];
    for (int row = 0; row < rows; row++) {
      table.read(row, values, row * WIDTH);
    }
    return values;
  }

  @Test
  void gradientsOfEqualRowsAddUpAndDeadTokensDoNot() {
    StepGradients step = new StepGradients(4, 1, 2);
    step.put(
        0,
        4,
        new long[] {5, 9, 5, 5},
        new boolean[] {true, true, true, false},
        new float[] {1, 2, 10, 20, 3, 4, 100, 200});
    step.addUp(0);
    assertEquals(2, step.sums(0).size());
    assertEquals(4 * 4 + 6 * 6 + 10 * 10 + 20 * 20, step.sums(0).squares());
  }

  /** Each optimizer against its formula in double, over rows that are touched now and then. */
  @Test
  void optimizersFollowTheirFormulas() {
    for (RowOptimizer optimizer : OPTIMIZERS) {
      SplittableRandom random = new SplittableRandom(3);
      float[] row = new float[WIDTH + optimizer.stateFloats(WIDTH)];
      double[] values = new double[WIDTH];
      double[] m = new double[WIDTH];
      double[] v = new double[WIDTH];
      double mean = 0;
      for (int t = 1; t <= 50; t++) {
        float[] gradient = new float[WIDTH];
        double squares = 0;
        for (int i = 0; i < WIDTH; i++) {
          gradient[i] = (float) random.nextGaussian();
          squares += 0.25 * gradient[i] * gradient[i] / WIDTH;
        }
        optimizer.update(row, 0, WIDTH, gradient, 0, 0.5f, 0.01f);
        mean =
            optimizer instanceof RowOptimizer.Adagrad
                ? mean + squares
                : 0.95 * mean + 0.05 * squares;
        for (int i = 0; i < WIDTH; i++) {
          double g = 0.5 * gradient[i];
          m[i] = 0.9 * m[i] + 0.1 * g;
          v[i] = 0.95 * v[i] + 0.05 * g * g;
          values[i] -=
              optimizer instanceof RowOptimizer.LazyAdam
                  ? 0.01
                      * (m[i] / (1 - Math.pow(0.9, t)))
                      / (Math.sqrt(v[i] / (1 - Math.pow(0.95, t))) + 1e-8)
                  : 0.01 * g / (Math.sqrt(mean) + 1e-8);
          assertEquals(values[i], row[i], 2e-6, optimizer + " step " + t);
        }
      }
    }
  }

  @Test
  void checkpointsComeBackToTheSameBits() throws IOException {
    for (RowFormat format : RowFormat.values()) {
      for (RowOptimizer optimizer : OPTIMIZERS) {
        TableShape shape = shape(format, optimizer);
        Path file = directory.resolve(format + optimizer.describe());
        float[] expected;
        try (TrainableTable whole = TrainableTable.inMemory(shape)) {
          train(whole, 12, 0);
          expected = all(whole);
        }
        try (TrainableTable table = TrainableTable.open(file, shape, -1)) {
          train(table, 5, 0);
          assertTrue(table.changedRows() > 0 && table.changedRows() <= 80);
          table.prepare(5);
          table.commit(5);
          assertEquals(0, table.changedRows());
          train(table, 4, 5); // lost, as by a kill
        }
        try (TrainableTable table = TrainableTable.open(file, shape, 5)) {
          train(table, 7, 5);
          assertArrayEquals(expected, all(table), format + " " + optimizer);
        }
      }
    }
  }

  /** A process that dies between the two steps of a checkpoint leaves one or the other. */
  @Test
  void halfACheckpointIsTheOneBeforeOrTheNext() throws IOException {
    TableShape shape = shape(RowFormat.F32, RowOptimizer.RmsProp.DEFAULT);
    Path file = directory.resolve("rows.bin");
    float[] before;
    float[] after;
    try (TrainableTable table = TrainableTable.open(file, shape, -1)) {
      train(table, 2, 0);
      table.prepare(2);
      table.commit(2);
      before = all(table);
      train(table, 2, 2);
      after = all(table);
      table.prepare(4);
    }
    assertFalse(Arrays.equals(before, after));
    Path journal = directory.resolve("rows.bin.journal");
    Path kept = directory.resolve("kept");
    Files.copy(journal, kept);
    try (TrainableTable table = TrainableTable.open(file, shape, 2)) { // 4 never counted
      assertArrayEquals(before, all(table));
      assertFalse(Files.exists(journal));
    }
    Files.copy(kept, journal);
    try (TrainableTable table = TrainableTable.open(file, shape, 4)) {
      assertArrayEquals(after, all(table));
    }
    Files.copy(kept, journal); // applied twice, as by a kill before the file was of the new step
    setStep(file, 2);
    try (TrainableTable table = TrainableTable.open(file, shape, 4)) {
      assertArrayEquals(after, all(table));
    }
    setStep(file, 2);
    byte[] damaged = Files.readAllBytes(kept);
    damaged[damaged.length / 2] ^= 1;
    Files.write(journal, damaged);
    IOException e = assertThrows(IOException.class, () -> TrainableTable.open(file, shape, 4));
    assertTrue(e.toString().contains("checksum"), e.toString());
  }

  /** Sets the step that a table's first page ends with. */
  private static void setStep(Path file, long step) throws IOException {
    try (RandomAccessFile open = new RandomAccessFile(file.toFile(), "rw")) {
      open.seek(TableShape.PAGE - 8L);
      open.writeLong(Long.reverseBytes(step));
    }
  }

  /** Its journal must not give way to the next one's before it is in the file. */
  @Test
  void aCommitThatFailedIsFinishedFirst() throws IOException {
    TableShape shape = shape(RowFormat.F32, RowOptimizer.RmsProp.DEFAULT);
    Path file = directory.resolve("rows.bin");
    Path journal = directory.resolve("rows.bin.journal");
    float[] first;
    try (TrainableTable table = TrainableTable.open(file, shape, -1)) {
      train(table, 2, 0);
      first = all(table);
      table.prepare(2);
      byte[] whole = Files.readAllBytes(journal);
      Files.write(journal, Arrays.copyOf(whole, whole.length / 2));
      assertThrows(IOException.class, () -> table.commit(2));
      train(table, 2, 2);
      assertThrows(IOException.class, () -> table.prepare(4));
      Files.write(journal, whole);
      table.prepare(4);
    }
    try (TrainableTable table = TrainableTable.open(file, shape, 2)) { // 4 never counted
      assertArrayEquals(first, all(table));
    }
  }

  @Test
  void rowsOfAnotherStepAreRefused() throws IOException {
    TableShape shape = shape(RowFormat.F32, RowOptimizer.RmsProp.DEFAULT);
    Path file = directory.resolve("rows.bin");
    try (TrainableTable table = TrainableTable.open(file, shape, -1)) {
      train(table, 1, 0);
      table.prepare(7);
      table.commit(7);
    }
    for (long step : new long[] {-1, 6, 8}) {
      IOException e = assertThrows(IOException.class, () -> TrainableTable.open(file, shape, step));
      assertTrue(e.toString().contains("step 7, but wanted is step " + step), e.toString());
    }
    TrainableTable.open(file, shape, 7).close();
  }

  @Test
  void closedTablesAreRefused() throws IOException {
    TableShape shape = shape(RowFormat.F32, RowOptimizer.RmsProp.DEFAULT);
    TrainableTable stored = TrainableTable.open(directory.resolve("rows.bin"), shape, -1);
    for (TrainableTable table : List.of(TrainableTable.inMemory(shape), stored)) {
      table.close();
      table.close();
      float[] out = new float[WIDTH];
      assertThrows(IllegalStateException.class, () -> table.read(0, out, 0));
      assertThrows(IllegalStateException.class, () -> table.set(0, out, 0));
      assertThrows(IllegalStateException.class, () -> train(table, 1, 0));
    }
  }

  @Test
  void anotherTableIsRefused() throws IOException {
    TableShape shape = shape(RowFormat.F32, RowOptimizer.RmsProp.DEFAULT);
    Path file = directory.resolve("rows.bin");
    TrainableTable.open(file, shape, -1).close();
    TableShape other = shape(RowFormat.BF16, RowOptimizer.RmsProp.DEFAULT);
    IOException e = assertThrows(IOException.class, () -> TrainableTable.open(file, other, -1));
    assertTrue(e.toString().contains("F32") && e.toString().contains("BF16"), e.toString());
    try (RandomAccessFile cut = new RandomAccessFile(file.toFile(), "rw")) {
      cut.setLength(5000);
    }
    e = assertThrows(IOException.class, () -> TrainableTable.open(file, shape, -1));
    assertTrue(e.toString().contains("5000"), e.toString());
    Files.writeString(file, "a text");
    e = assertThrows(IOException.class, () -> TrainableTable.open(file, shape, -1));
    assertTrue(e.toString().contains("not a trainable table"), e.toString());
  }

  @Test
  void oneProcessTrainsATable() throws IOException {
    TableShape shape = shape(RowFormat.F32, RowOptimizer.RmsProp.DEFAULT);
    Path file = directory.resolve("rows.bin");
    try (TrainableTable first = TrainableTable.open(file, shape, -1)) {
      assertEquals(1000, first.shape().rows());
      IOException e = assertThrows(IOException.class, () -> TrainableTable.open(file, shape, -1));
      assertTrue(e.toString().contains("already being trained"), e.toString());
    }
  }

  @Test
  void rowsOutsideAreRefused() {
    try (TrainableTable table = TrainableTable.inMemory(TableShape.of(10, 4))) {
      float[] out = new float[4];
      for (long row : new long[] {-1, 10, Long.MAX_VALUE, Long.MIN_VALUE}) {
        IndexOutOfBoundsException e =
            assertThrows(IndexOutOfBoundsException.class, () -> table.read(row, out, 0));
        assertTrue(e.toString().contains("10"), e.toString());
      }
      assertThrows(IllegalStateException.class, () -> table.prepare(1));
    }
    assertThrows(IllegalArgumentException.class, () -> TableShape.of(0, 4));
    assertThrows(IllegalArgumentException.class, () -> TableShape.of(4, 0));
  }

  /** Noise of rounding has no bias, repeats, and keeps small changes that nearest would lose. */
  @Test
  void bf16RowsRoundStochasticallyAndAlike() {
    TableShape shape = shape(RowFormat.BF16, new RowOptimizer.Adagrad(1e-8f));
    double[] sums = new double[2];
    List<float[]> runs = new ArrayList<>();
    for (int run = 0; run < 2; run++) {
      try (TrainableTable table = TrainableTable.inMemory(shape)) {
        float[] one = new float[WIDTH];
        Arrays.fill(one, 1f);
        for (int row = 0; row < 1000; row++) {
          table.set(row, one, 0);
        }
        float[] gradient = new float[WIDTH];
        Arrays.fill(gradient, 1f);
        for (int row = 0; row < 1000; row++) {
          // a step of 2^-11, a quarter of what lies between 1 and the next below
          table.writer(0).update(row, gradient, 0, 1, 0x1p-10f, 3);
        }
        float[] values = all(table);
        runs.add(values);
        for (float value : values) {
          sums[run] += 1 - value;
        }
      }
    }
    assertArrayEquals(runs.get(0), runs.get(1));
    assertEquals(0x1p-10, sums[0] / (1000 * WIDTH), 0x1p-10 * 0.1);
    assertNotEquals(runs.get(0)[0] + runs.get(0)[1] * 2, 3 * runs.get(0)[5]);
  }

  /** 10^8 rows in a sparse file: a step costs what it touches. */
  @Test
  void hugeTablesTakeWhatTheyTouch() throws IOException {
    TableShape shape = TableShape.of(100_000_000, 32);
    Path file = directory.resolve("huge.bin");
    try (TrainableTable table = TrainableTable.open(file, shape, -1)) {
      SplittableRandom random = new SplittableRandom(1);
      long[] rows = random.longs(2000, 0, shape.rows()).toArray();
      rows[0] = shape.rows() - 1;
      rows[1] = 0;
      float[] gradients = new float[2000 * 32];
      Arrays.fill(gradients, 1f);
      boolean[] live = new boolean[2000];
      Arrays.fill(live, true);
      StepGradients step = new StepGradients(2000, 1, 32);
      step.put(0, 2000, rows, live, gradients);
      step.addUp(0);
      step.sums(0).apply(table.writer(0), 1, 0.5f, 0);
      Map<Long, Float> expected = new HashMap<>();
      float[] out = new float[32];
      for (long row : rows) {
        table.read(row, out, 0);
        expected.put(row, out[31]);
        assertTrue(out[31] < 0);
      }
      table.prepare(1);
      table.commit(1);
      for (long row : rows) {
        table.read(row, out, 0);
        assertEquals(expected.get(row), out[31]);
      }
    }
    assertTrue(Files.size(file) > 12L << 30, "" + Files.size(file));
    Process du = new ProcessBuilder("du", "-k", file.toString()).start();
    long kib =
        Long.parseLong(new String(du.getInputStream().readAllBytes(), UTF_8).split("\t", 2)[0]);
    assertTrue(kib < 20_000, "a page for each of 2,000 rows, but " + kib + " KiB");
  }
}
