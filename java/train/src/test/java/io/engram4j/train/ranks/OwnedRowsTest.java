package io.engram4j.train.ranks;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.train.table.RowFormat;
import io.engram4j.train.table.RowOptimizer;
import io.engram4j.train.table.StepGradients;
import io.engram4j.train.table.TableShape;
import io.engram4j.train.table.TrainableTable;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Rows that several ranks own change as those of one process by the same gradients. */
class OwnedRowsTest {
  private static final int STEPS = 12;
  private static final int TOKENS = 64; // of all ranks together
  private static final int COLUMNS = 3;
  private static final int[] WIDTHS = {8, 5};
  private static final long ROWS = 301; // which no number of ranks divides

  @TempDir private Path directory;

  /** Some ranks' rows after each step, and the largest sum of squares that differed. */
  private static final class Rows {
    private final List<float[]> rows = new ArrayList<>();
    private final List<Double> squares = new ArrayList<>();
    private long changed;
  }

  private static List<TableShape> shapes(RowFormat format) {
    List<TableShape> shapes = new ArrayList<>();
    for (int width : WIDTHS) {
      shapes.add(new TableShape(0, ROWS, width, format, RowOptimizer.RmsProp.DEFAULT, 9));
    }
    return shapes;
  }

  private static Rows train(RowOwners owners) {
    int ranks = owners.ranks().size();
    int own = TOKENS / ranks;
    int first = own * owners.ranks().rank();
    Rows rows = new Rows();
    try (Reduction reduction = new Reduction(owners.ranks());
        Workers workers = new Workers(2)) {
      for (int step = 0; step < STEPS; step++) {
        List<long[]> ids = new ArrayList<>();
        List<StepGradients> gradients = new ArrayList<>();
        boolean[] live = new boolean[own];
        for (int layer = 0; layer < WIDTHS.length; layer++) {
          SplittableRandom random = new SplittableRandom(100L * step + layer);
          long[] allIds = new long[TOKENS * COLUMNS];
          float[] all = new float[allIds.length * WIDTHS[layer]];
          boolean[] allLive = new boolean[TOKENS];
          for (int i = 0; i < allIds.length; i++) {
            // columns have rows of their own, and few, so that many ranks have the same
            allIds[i] = i % COLUMNS * 100L + random.nextInt(step < 2 ? 1 : 100);
          }
          for (int i = 0; i < all.length; i++) {
            all[i] = (float) random.nextGaussian();
          }
          for (int i = 0; i < TOKENS; i++) {
            allLive[i] = (i * 7 + step) % 5 > 0;
          }
          int width = COLUMNS * WIDTHS[layer];
          StepGradients each = new StepGradients(own, COLUMNS, WIDTHS[layer]);
          long[] mine =
              java.util.Arrays.copyOfRange(allIds, first * COLUMNS, (first + own) * COLUMNS);
          System.arraycopy(allLive, first, live, 0, own);
          each.put(
              0,
              own,
              mine,
              live,
              java.util.Arrays.copyOfRange(all, first * width, (first + own) * width));
          ids.add(mine);
          gradients.add(each);
        }
        owners.pull(ids::get, live, own);
        requireRead(owners, ids, live, own);
        rows.squares.add(reduction.sum(owners.push(gradients, workers))[0]);
        double changed = owners.apply(0.5f, 0.01f, step, workers);
        rows.changed += (long) reduction.sum(changed)[0];
      }
    }
    for (TrainableTable table : owners.tables()) {
      for (long row = table.shape().first(); table.shape().holds(row); row++) {
        float[] values = new float[table.shape().width()];
        table.read(row, values, 0);
        rows.rows.add(values);
      }
    }
    return rows;
  }

  /** What a pass reads is what the owner has; another row than those pulled is refused. */
  private static void requireRead(RowOwners owners, List<long[]> ids, boolean[] live, int tokens) {
    for (int layer = 0; layer < ids.size(); layer++) {
      float[] out = new float[tokens * COLUMNS * WIDTHS[layer]];
      owners.rows().get(layer).gather(ids.get(layer), COLUMNS, live, tokens, out);
      TrainableTable table = owners.tables().get(layer);
      float[] row = new float[WIDTHS[layer]];
      for (int i = 0; i < tokens * COLUMNS; i++) {
        if (live[i / COLUMNS] && table.shape().holds(ids.get(layer)[i])) {
          table.read(ids.get(layer)[i], row, 0);
        } else if (live[i / COLUMNS]) {
          continue;
        } else {
          java.util.Arrays.fill(row, 0f);
        }
        int from = i * row.length;
        assertArrayEquals(row, java.util.Arrays.copyOfRange(out, from, from + row.length));
      }
      int index = layer;
      long[] outside = new long[tokens * COLUMNS];
      java.util.Arrays.fill(outside, 300);
      boolean[] all = new boolean[tokens];
      java.util.Arrays.fill(all, true);
      if (owners instanceof OwnedRows) {
        assertThrows(
            IndexOutOfBoundsException.class,
            () -> owners.rows().get(index).gather(outside, COLUMNS, all, tokens, out));
      }
    }
  }

  @ParameterizedTest
  @EnumSource(RowFormat.class)
  void rowsChangeAsThoseOfOneProcess(RowFormat format) {
    Rows one;
    try (RowOwners owners =
        LocalRows.of(shapes(format).stream().map(TrainableTable::inMemory).toList())) {
      one = train(owners);
    }
    assertTrue(one.changed > 2000, one.changed + " rows");
    // a bf16 row is rounded by the same noise, and may fall to the other side of a number
    double bound = format == RowFormat.F32 ? 2e-6 : 1.0 / 64;
    for (int size : new int[] {1, 2, 4}) {
      List<Rows> all =
          MappedRanksTest.together(
              directory,
              size,
              ranks -> {
                try (RowOwners owners = OwnedRows.inMemory(ranks, shapes(format))) {
                  return train(owners);
                }
              });
      double worst = 0;
      for (int layer = 0; layer < WIDTHS.length; layer++) {
        int at = layer * (int) ROWS;
        for (Rows rank : all) {
          int count = rank.rows.size() / WIDTHS.length; // shares differ by one
          for (int i = 0; i < count; i++, at++) {
            float[] values = rank.rows.get(layer * count + i);
            for (int j = 0; j < values.length; j++) {
              worst = Math.max(worst, Math.abs(values[j] - one.rows.get(at)[j]));
            }
          }
        }
        assertEquals((layer + 1) * ROWS, at);
      }
      assertTrue(worst <= (size == 1 ? 0 : bound), size + " ranks: " + worst);
      for (Rows rank : all) {
        assertEquals(one.changed, rank.changed);
        for (int step = 0; step < STEPS; step++) {
          assertEquals(1, rank.squares.get(step) / one.squares.get(step), 1e-6);
        }
      }
    }
  }

  @Test
  void rangesCoverATable() {
    TableShape whole = TableShape.of(7, 4);
    long next = 0;
    for (int rank = 0; rank < 3; rank++) {
      TableShape range = OwnedRows.range(whole, rank, 3);
      assertEquals(next, range.first());
      next += range.rows();
    }
    assertEquals(7, next);
    assertThrows(IllegalArgumentException.class, () -> OwnedRows.range(whole, 0, 8));
    assertThrows(IndexOutOfBoundsException.class, () -> whole.range(5, 3));
  }
}
