package io.engram4j;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.kernel.java.JavaBackend;
import io.engram4j.model.Dtype;
import io.engram4j.table.RowSet;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import org.junit.jupiter.api.Test;

class ModelLookupTest {
  private static final int TOKENS = 5;

  private final EngramModel model = TestModels.v41();
  private final EngramSequence sequence = model.newSequence();
  private final int layers = model.layers().size();
  private final int columns = model.config().columns();
  private final int width = model.config().rowWidth();
  private final MemorySegment rowIds = Arena.ofAuto().allocate(8L * layers * TOKENS * columns);
  private final MemorySegment rows = Arena.ofAuto().allocate(4L * layers * TOKENS * width);

  private EngramBatch batch() {
    sequence.append(new int[] {3, 1, 4, 1, 5});
    return model.newBatch().add(sequence, 0, TOKENS);
  }

  @Test
  void givesWhatTheStagesGive() {
    EngramBatch batch = batch();
    model.lookup(batch, rowIds, rows, Dtype.F32);
    long count = (long) TOKENS * columns;
    for (int i = 0; i < layers; i++) {
      MemorySegment ids = Arena.ofAuto().allocate(8 * count);
      MemorySegment own = Arena.ofAuto().allocate(4L * TOKENS * width);
      model.layers().get(i).hash(batch, ids);
      model.layers().get(i).gather(ids, count, own, Dtype.F32);
      assertEquals(-1, ids.mismatch(rowIds.asSlice(8 * count * i, 8 * count)));
      assertEquals(-1, own.mismatch(rows.asSlice(own.byteSize() * i, own.byteSize())));
    }
  }

  @Test
  void showsReplacedRows() {
    EngramBatch batch = batch();
    model.lookup(batch, rowIds, rows, Dtype.F32);
    EngramLayer last = model.layers().getLast();
    long at = (long) (layers - 1) * TOKENS * columns;
    long id = rowIds.getAtIndex(ValueLayout.JAVA_LONG, at);
    int headDim = model.config().headDim();
    float[] row = new float[headDim];
    row[headDim - 1] = 42;
    model.overlay().put(new RowSet("one", List.of(new RowSet.Row(last.id(), id, row))));
    model.lookup(batch, rowIds, rows, Dtype.F32);
    long element = at * headDim + headDim - 1;
    assertEquals(42, rows.getAtIndex(ValueLayout.JAVA_FLOAT, element));
  }

  @Test
  void refusesWhatDoesNotFit() {
    EngramBatch batch = batch();
    MemorySegment small = rows.asSlice(0, rows.byteSize() - 4);
    String message =
        assertThrows(
                IllegalArgumentException.class, () -> model.lookup(batch, rowIds, small, Dtype.F32))
            .getMessage();
    assertTrue(String.valueOf(message).contains("" + rows.byteSize()), message);
    assertThrows(
        IllegalArgumentException.class, () -> model.lookup(batch, rowIds, rows, Dtype.F16));
    EngramBatch other = TestModels.v41().newBatch();
    assertThrows(
        IllegalArgumentException.class, () -> model.lookup(other, rowIds, rows, Dtype.F32));
    EngramModel hashing = EngramModel.hashOnly(model.config(), model.map(), new JavaBackend());
    assertThrows(
        IllegalStateException.class,
        () -> hashing.lookup(hashing.newBatch(), rowIds, rows, Dtype.F32));
    model.close();
    assertThrows(IllegalStateException.class, () -> model.lookup(batch, rowIds, rows, Dtype.F32));
    assertEquals(List.of(), hashing.overlay().sets());
  }
}
