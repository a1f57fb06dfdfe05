package io.engram4j.table;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.engram4j.EngramLayer;
import io.engram4j.EngramModel;
import io.engram4j.EngramSequence;
import io.engram4j.TestModels;
import io.engram4j.format.Bfloat16;
import io.engram4j.kernel.java.JavaBackend;
import io.engram4j.kernel.java.JavaGather;
import io.engram4j.model.Dtype;
import io.engram4j.model.EngramConfig;
import io.engram4j.weights.LayerWeights;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileChannel.MapMode;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Tables of every type and size, and memory that goes away. */
class TableTest {
  @TempDir Path directory;

  private static float[] gather(Table table, long... ids) {
    float[] out = new float[ids.length * table.headDim()];
    JavaGather.gather(
        table, MemorySegment.ofArray(ids), ids.length, MemorySegment.ofArray(out), Dtype.F32);
    return out;
  }

  @Test
  void extremeScalesAndCodes() {
    byte[] weight = new byte[2 * 64];
    byte[] scale = {0, (byte) 255, (byte) 254, 127};
    weight[0] = 0x38; // 1
    weight[32] = 0x38;
    weight[64] = 0x7e; // 448
    weight[96] = 0x7f; // NaN
    weight[97] = 0x01; // the smallest subnormal
    Table table =
        Table.of(
            "t",
            RowType.F8_E4M3,
            2,
            64,
            MemorySegment.ofArray(weight),
            MemorySegment.ofArray(scale));
    float[] rows = gather(table, 0, 1);
    assertEquals(0x1p-127f, rows[0], "scale byte 0 is subnormal, not zero");
    assertEquals(Float.NaN, rows[32]);
    assertEquals(Float.NaN, rows[33], "0 x NaN");
    assertEquals(Float.POSITIVE_INFINITY, rows[64], "448 x 2^127 overflows float32");
    assertEquals(Float.NaN, rows[96]);
    assertEquals(0x1p-9f, rows[97]);
    byte[] narrow = new byte[4 * 64];
    JavaGather.gather(
        table,
        MemorySegment.ofArray(new long[] {0, 1}),
        2,
        MemorySegment.ofArray(narrow),
        Dtype.BF16);
    ByteBuffer shorts = ByteBuffer.wrap(narrow).order(java.nio.ByteOrder.LITTLE_ENDIAN);
    for (int i = 0; i < rows.length; i++) {
      assertEquals(rows[i], Bfloat16.toFloat(shorts.getShort(2 * i)), "element " + i);
    }
  }

  @Test
  void halvesAndFloats() {
    short[] halves = {Float.floatToFloat16(1.5f), Float.floatToFloat16(-65504f)};
    assertArrayEquals(
        new float[] {-65504f, 1.5f},
        gather(Table.of("t", RowType.F16, 2, 1, MemorySegment.ofArray(halves), null), 1, 0));
    short[] brains = {Bfloat16.fromFloat(1e30f), Bfloat16.fromFloat(-3)};
    assertArrayEquals(
        new float[] {Bfloat16.toFloat(brains[0]), -3, 0, 0},
        gather(Table.of("t", RowType.BF16, 1, 2, MemorySegment.ofArray(brains), null), 0, -1));
    float[] floats = {1e-40f, Float.MAX_VALUE};
    assertArrayEquals(
        floats, gather(Table.of("t", RowType.F32, 1, 2, MemorySegment.ofArray(floats), null), 0));
  }

  @Test
  void idsOutsideTheTableAreRefused() {
    Table table = Table.of("rows", RowType.F32, 3, 1, MemorySegment.ofArray(new float[3]), null);
    for (long id : new long[] {3, -2, Long.MAX_VALUE, Long.MIN_VALUE}) {
      IndexOutOfBoundsException e =
          assertThrows(IndexOutOfBoundsException.class, () -> gather(table, 0, id));
      assertEquals("row id " + id + " is outside rows, which has 3 rows", e.getMessage());
    }
  }

  /** Elements, scales and biases of four elements take two bytes each, as if rows were whole. */
  @Test
  void rowsWhoseScalesAreAsLongAsTheirElementsHaveThemBeside() {
    byte[] weight = {1, 2, 3, 4, 5, 6};
    byte[] scale = {11, 12, 13, 14, 15, 16};
    byte[] bias = {21, 22, 23, 24, 25, 26};
    Shard all =
        new Shard(
            0,
            MemorySegment.ofArray(weight),
            MemorySegment.ofArray(scale),
            MemorySegment.ofArray(bias));
    Table table = Table.sharded("table", RowType.AFFINE4_32, 3, 4, List.of(all));
    assertFalse(table.isInterleaved());
    byte[] rows = new byte[12];
    table.read(MemorySegment.ofArray(new long[] {2, 0}), 2, MemorySegment.ofArray(rows));
    assertArrayEquals(new byte[] {5, 6, 15, 16, 25, 26, 1, 2, 11, 12, 21, 22}, rows);
  }

  @Test
  void sizesThatDoNotFitAreRefused() {
    MemorySegment memory = MemorySegment.ofArray(new byte[64]);
    for (Runnable wrong :
        List.<Runnable>of(
            () -> Table.of("t", RowType.F8_E4M3, 2, 64, memory, memory),
            () -> Table.of("t", RowType.F8_E4M3, 1, 64, memory, memory),
            () -> Table.of("t", RowType.F32, 1L << 62, 4, memory, null),
            () -> Table.of("t", RowType.F32, Long.MAX_VALUE, Integer.MAX_VALUE, memory, null),
            () -> RowType.of("t", Dtype.F64),
            () -> Table.of("t", RowType.F32, 0, 8, memory, null))) {
      assertThrows(IllegalArgumentException.class, wrong::run);
    }
  }

  /** A table of the real size, 98 GB, on a file that is almost all hole. */
  @Test
  void rowsBeyond64Bit() throws IOException {
    long rows = 384_006_168;
    Path file = directory.resolve("table");
    try (RandomAccessFile sparse = new RandomAccessFile(file.toFile(), "rw")) {
      sparse.setLength(rows * 264);
      sparse.seek((rows - 1) * 256);
      sparse.write(0x38);
      sparse.seek(rows * 264 - 8);
      sparse.write(130);
      sparse.seek((1L << 31) + 256);
      sparse.write(0x40);
      sparse.seek(rows * 256 + ((1L << 31) + 256) / 256 * 8);
      sparse.write(127);
    }
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ);
        Arena arena = Arena.ofShared()) {
      MemorySegment all = channel.map(MapMode.READ_ONLY, 0, rows * 264, arena);
      assertTrue(all.byteSize() > 100_000_000_000L);
      Table table =
          Table.of(
              "table",
              RowType.F8_E4M3,
              rows,
              256,
              all.asSlice(0, rows * 256),
              all.asSlice(rows * 256, rows * 8));
      float[] out = gather(table, 0, rows - 1, (1L << 23) + 1);
      assertEquals(0, out[0]);
      assertEquals(8, out[256]);
      assertEquals(2, out[512]);
      assertThrows(IndexOutOfBoundsException.class, () -> gather(table, rows));
    }
  }

  private static EngramModel mapped(Path file, Arena arena) throws IOException {
    EngramModel small = TestModels.v41();
    EngramConfig config = small.config();
    LayerWeights first = small.layers().getFirst().weights();
    long rows = first.table().rows();
    long bytes = rows * config.headDim();
    try (FileChannel channel =
        FileChannel.open(
            file, StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
      channel.write(ByteBuffer.allocate(1), bytes - 1);
      MemorySegment memory = channel.map(MapMode.READ_ONLY, 0, bytes, arena);
      Table table =
          Table.of(
              "the table", RowType.F8_E4M3, rows, config.headDim(), memory, first.table().scale());
      LayerWeights changed = new LayerWeights(table, first.projection(), first.gate(), null);
      return new EngramModel(
          config,
          small.map(),
          List.of(changed, small.layers().getLast().weights()),
          new JavaBackend(),
          arena);
    }
  }

  @Test
  void aFileThatShrinksUnderItsMappingIsAnErrorNotACrash() throws IOException {
    Path file = directory.resolve("shrinking");
    try (EngramModel model = mapped(file, Arena.ofShared())) {
      EngramLayer layer = model.layers().getFirst();
      MemorySegment out = MemorySegment.ofArray(new float[8]);
      layer.gather(MemorySegment.ofArray(new long[] {0}), 1, out, Dtype.F32);
      model.probe();
      try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
        channel.truncate(0);
      }
      UncheckedIOException e =
          assertThrows(
              UncheckedIOException.class,
              () -> layer.gather(MemorySegment.ofArray(new long[] {0}), 1, out, Dtype.F32));
      assertTrue(
          String.valueOf(e.getMessage()).contains("reading the table of layer 1 failed"),
          e.getMessage());
      assertThrows(UncheckedIOException.class, model::probe);
    }
  }

  @Test
  void closingLeavesCallsUnderWayTheirTables() throws Exception {
    for (int round = 0; round < 20; round++) {
      EngramModel model = mapped(directory.resolve("closing" + round), Arena.ofShared());
      int width = model.config().streamWidth();
      AtomicInteger calls = new AtomicInteger();
      CompletableFuture<Void> user =
          CompletableFuture.runAsync(() -> {
            EngramSequence sequence = model.newSequence();
            sequence.append(new int[300]);
            float[] hidden = new float[300 * width];
            while (true) {
              model.layers().getFirst().apply(sequence, 300, hidden);
              calls.incrementAndGet();
            }
          });
      while (calls.get() < 3 && !user.isDone()) {
        Thread.onSpinWait();
      }
      MemorySegment weight = model.layers().getFirst().weights().table().weight();
      model.close();
      Throwable ended =
          assertThrows(java.util.concurrent.ExecutionException.class, user::get).getCause();
      assertEquals("java.lang.IllegalStateException: the model is closed", "" + ended);
      for (int i = 0; i < 10_000 && weight.scope().isAlive(); i++) {
        Thread.sleep(1); // a thread of the model frees them
      }
      assertThrows(IllegalStateException.class, () -> weight.get(JAVA_BYTE, 0));
    }
  }
}
