package io.engram4j.train.files;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;

import io.engram4j.hf.SafetensorsFile;
import io.engram4j.hf.SafetensorsWriter;
import io.engram4j.hf.SafetensorsWriter.Declaration;
import io.engram4j.hf.TensorInfo;
import io.engram4j.model.Dtype;
import io.engram4j.train.table.TableShape;
import io.engram4j.train.table.TrainableTable;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/**
 * Ranges of a table's rows as safetensors files, for another number of ranks, or for programs that
 * train the same tables: {@code rows}, float32 [rows, width], and {@code state}, float32 [rows,
 * numbers that the optimizer keeps of a row]. Metadata says the id of the first row and which
 * optimizer.
 */
public final class RowRanges {
  private static final int ROWS_AT_ONCE = 4096;
  private static final String ROWS = "rows";
  private static final String STATE = "state";
  private static final String FIRST = "first";
  private static final String OPTIMIZER = "optimizer";

  private RowRanges() {}

  /**
   * Writes rows of a table.
   *
   * @throws IOException if the file is there already or cannot be written
   * @throws IndexOutOfBoundsException if the table has not all these rows
   */
  public static void write(TrainableTable table, long first, long count, Path file)
      throws IOException {
    TableShape range = table.shape().range(first, count);
    int states = range.floats() - range.width();
    List<Declaration> tensors =
        List.of(
            Declaration.of(ROWS, Dtype.F32, count, range.width()),
            Declaration.of(STATE, Dtype.F32, count, states));
    Map<String, String> metadata =
        Map.of(FIRST, "" + first, OPTIMIZER, range.optimizer().describe());
    try (SafetensorsWriter writer = new SafetensorsWriter(file, tensors, metadata)) {
      write(writer, table, range, 0, range.width());
      write(writer, table, range, range.width(), states);
    } catch (FileAlreadyExistsException e) {
      throw e; // which is not ours to delete
    } catch (IOException e) {
      Files.deleteIfExists(file);
      throw e;
    }
  }

  private static void write(
      SafetensorsWriter writer, TrainableTable table, TableShape range, int from, int floats)
      throws IOException {
    float[] row = new float[range.floats()];
    ByteBuffer bytes =
        ByteBuffer.allocate(ROWS_AT_ONCE * 4 * floats).order(ByteOrder.LITTLE_ENDIAN);
    for (long id = range.first(); range.holds(id); id++) {
      table.readWhole(id, row);
      for (int i = from; i < from + floats; i++) {
        bytes.putFloat(row[i]);
      }
      if (!bytes.hasRemaining() || !range.holds(id + 1)) {
        writer.write(bytes.flip());
        bytes.clear();
      }
    }
  }

  /**
   * Takes rows of a file into a table: those that the table has. State comes along where it is of
   * the table's optimizer, and is zero otherwise.
   *
   * @return how many rows were taken
   * @throws IOException if the file cannot be read, or has no rows of the table's width
   */
  public static long read(Path file, TrainableTable into) throws IOException {
    SafetensorsFile tensors = SafetensorsFile.open(file);
    TableShape shape = into.shape();
    TensorInfo rows = tensor(file, tensors, ROWS);
    long count = rows.shape().getFirst();
    if (rows.shape().size() != 2 || rows.shape().get(1) != shape.width()) {
      throw new IOException(
          file + " has rows of shape " + rows.shape() + ", but wanted are " + shape.width());
    }
    int states = shape.floats() - shape.width();
    boolean stateful =
        shape.optimizer().describe().equals(tensors.metadata().get(OPTIMIZER))
            && tensor(file, tensors, STATE).shape().equals(List.of(count, (long) states));
    long first = first(file, tensors);
    long from = Math.max(first, shape.first());
    long to = Math.min(first + count, shape.first() + shape.rows());
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment elements = SafetensorsFile.map(rows, arena);
      MemorySegment state =
          stateful ? SafetensorsFile.map(tensor(file, tensors, STATE), arena) : arena.allocate(1);
      float[] row = new float[shape.floats()];
      for (long id = from; id < to; id++) {
        copy(elements, id - first, shape.width(), row, 0);
        if (stateful) {
          copy(state, id - first, states, row, shape.width());
        }
        if (!isZero(row)) { // zeros need no page
          into.setWhole(id, row);
        }
      }
    }
    return Math.max(0, to - from);
  }

  private static void copy(MemorySegment from, long row, int floats, float[] to, int at) {
    MemorySegment.copy(from, JAVA_FLOAT_UNALIGNED, row * floats * 4, to, at, floats);
  }

  private static boolean isZero(float[] row) {
    for (float each : row) {
      if (Float.floatToRawIntBits(each) != 0) {
        return false;
      }
    }
    return true;
  }

  private static TensorInfo tensor(Path file, SafetensorsFile tensors, String name)
      throws IOException {
    TensorInfo info = tensors.tensors().get(name);
    if (info == null || !info.dtype().equals(Dtype.F32.name())) {
      throw new IOException(file + " has no float32 tensor " + name);
    }
    return info;
  }

  private static long first(Path file, SafetensorsFile tensors) throws IOException {
    String text = tensors.metadata().getOrDefault(FIRST, "");
    try {
      long first = Long.parseLong(text);
      if (first >= 0 && first < 1L << 40) {
        return first;
      }
    } catch (NumberFormatException e) {
      // said below
    }
    throw new IOException(file + " says of its first row: \"" + text + "\", which is no row's id");
  }
}
