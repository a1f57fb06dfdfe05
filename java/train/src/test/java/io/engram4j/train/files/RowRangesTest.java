package io.engram4j.train.files;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.hf.SafetensorsWriter;
import io.engram4j.hf.SafetensorsWriter.Declaration;
import io.engram4j.model.Dtype;
import io.engram4j.train.ranks.OwnedRows;
import io.engram4j.train.table.RowFormat;
import io.engram4j.train.table.RowOptimizer;
import io.engram4j.train.table.StepGradients;
import io.engram4j.train.table.TableShape;
import io.engram4j.train.table.TrainableTable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class RowRangesTest {
  private static final long ROWS = 10_001;
  private static final int WIDTH = 6;

  @TempDir private Path directory;

  private static TableShape shape(RowFormat format, RowOptimizer optimizer) {
    return new TableShape(0, ROWS, WIDTH, format, optimizer, 3);
  }

  /** A table of which some rows learned; many are zero. */
  private static TrainableTable trained(TableShape shape) {
    TrainableTable table = TrainableTable.inMemory(shape);
    SplittableRandom random = new SplittableRandom(1);
    for (int step = 0; step < 3; step++) {
      StepGradients gradients = new StepGradients(2000, 1, WIDTH);
      boolean[] live = new boolean[2000];
      Arrays.fill(live, true);
      float[] drows = new float[2000 * WIDTH];
      for (int i = 0; i < drows.length; i++) {
        drows[i] = (float) random.nextGaussian();
      }
      gradients.put(0, 2000, random.longs(2000, 0, ROWS).toArray(), live, drows);
      gradients.addUp(0);
      gradients.sums(0).apply(table.writer(0), 1, 0.1f, step);
    }
    return table;
  }

  private static void assertSame(TrainableTable expected, TrainableTable actual, long row) {
    float[] values = new float[expected.shape().floats()];
    float[] others = new float[actual.shape().floats()];
    expected.readWhole(row, values);
    actual.readWhole(row, others);
    assertArrayEquals(values, others, "row " + row);
  }

  @ParameterizedTest
  @EnumSource(RowFormat.class)
  void rowsOfSomeRanksBecomeThoseOfOthers(RowFormat format) throws IOException {
    for (RowOptimizer optimizer :
        List.of(RowOptimizer.RmsProp.DEFAULT, RowOptimizer.LazyAdam.DEFAULT)) {
      TableShape whole = shape(format, optimizer);
      Path at = Files.createTempDirectory(directory, "ranges");
      try (TrainableTable table = trained(whole)) {
        for (int rank = 0; rank < 3; rank++) {
          TableShape range = OwnedRows.range(whole, rank, 3);
          RowRanges.write(table, range.first(), range.rows(), at.resolve(rank + ".safetensors"));
        }
        long taken = 0;
        for (int rank = 0; rank < 2; rank++) {
          TableShape range = OwnedRows.range(whole, rank, 2);
          try (TrainableTable part = TrainableTable.inMemory(range)) {
            for (int file = 0; file < 3; file++) {
              taken += RowRanges.read(at.resolve(file + ".safetensors"), part);
            }
            for (long row = range.first(); range.holds(row); row++) {
              assertSame(table, part, row);
            }
          }
        }
        assertEquals(ROWS, taken);
      }
    }
  }

  @Test
  void stateOfAnotherOptimizerBeginsAnew() throws IOException {
    Path file = directory.resolve("rows.safetensors");
    try (TrainableTable table = trained(shape(RowFormat.F32, RowOptimizer.RmsProp.DEFAULT));
        TrainableTable other =
            TrainableTable.inMemory(shape(RowFormat.F32, RowOptimizer.Adagrad.DEFAULT))) {
      RowRanges.write(table, 0, ROWS, file);
      assertEquals(ROWS, RowRanges.read(file, other));
      float[] expected = new float[WIDTH + 1];
      float[] values = new float[WIDTH + 1];
      int states = 0;
      for (long row = 0; row < ROWS; row++) {
        table.readWhole(row, expected);
        other.readWhole(row, values);
        states += expected[WIDTH] > 0 ? 1 : 0;
        expected[WIDTH] = 0;
        assertArrayEquals(expected, values);
      }
      assertTrue(states > 3000, states + " rows learned");
    }
  }

  private static void assertRefused(String said, Path file, TrainableTable table) {
    IOException e = assertThrows(IOException.class, () -> RowRanges.read(file, table));
    assertTrue(e.toString().contains(said), e.toString());
  }

  private Path file(String name, int width, Map<String, String> metadata) throws IOException {
    Path file = directory.resolve(name);
    List<Declaration> tensors = List.of(Declaration.of("rows", Dtype.F32, 2, width));
    try (SafetensorsWriter writer = new SafetensorsWriter(file, tensors, metadata)) {
      writer.write(ByteBuffer.allocate(8 * width));
    }
    return file;
  }

  @Test
  void whatIsNoRangeIsRefused() throws IOException {
    try (TrainableTable table = trained(shape(RowFormat.F32, RowOptimizer.RmsProp.DEFAULT))) {
      Path file = directory.resolve("rows.safetensors");
      assertThrows(
          IndexOutOfBoundsException.class, () -> RowRanges.write(table, ROWS - 1, 2, file));
      RowRanges.write(table, ROWS - 1, 1, file);
      assertThrows(
          FileAlreadyExistsException.class, () -> RowRanges.write(table, ROWS - 1, 1, file));
      assertRefused("wanted are 6", file("wide", 5, Map.of("first", "0")), table);
      assertRefused("first row: \"\"", file("none", WIDTH, Map.of()), table);
      assertRefused("first row: \"-1\"", file("minus", WIDTH, Map.of("first", "-1")), table);
      assertEquals(0, RowRanges.read(file("far", WIDTH, Map.of("first", "99999999")), table));
      assertEquals(1, RowRanges.read(file("end", WIDTH, Map.of("first", "" + (ROWS - 1))), table));
      Path damaged = directory.resolve("damaged");
      Files.write(damaged, Arrays.copyOf(Files.readAllBytes(file), 100));
      assertThrows(IOException.class, () -> RowRanges.read(damaged, table));
    }
  }
}
