package io.engram4j.table;

import io.engram4j.host.CheckedFile;
import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * Rows that stand in for rows of a model's tables, under a name: what a {@link RowOverlay} puts on
 * and takes off as one. Immutable.
 *
 * @param name the set's name
 * @param rows its rows, no two of the same layer and id
 */
public record RowSet(String name, List<Row> rows) {
  private static final String MAGIC = "ENGRSET1";
  private static final int MOST_NAME = 1000;

  /**
   * One row.
   *
   * @param layerId the model layer
   * @param rowId the row of that layer's table
   * @param values headDim float32 values, as the stage gather gives them
   */
  @SuppressWarnings("ArrayRecordComponent") // copied on the way in, and not given out but to copy
  public record Row(int layerId, long rowId, float[] values) {
    public Row {
      values = values.clone();
    }
  }

  public RowSet {
    rows = List.copyOf(rows);
    if (name.isEmpty() || name.getBytes(StandardCharsets.UTF_8).length > MOST_NAME) {
      throw new IllegalArgumentException("a row set's name must have 1 to 1000 bytes");
    }
    long distinct = rows.stream().map(row -> row.layerId() + "/" + row.rowId()).distinct().count();
    if (distinct != rows.size()) {
      throw new IllegalArgumentException(
          "row set " + name + " has " + rows.size() + " rows, but only " + distinct + " ids");
    }
  }

  /**
   * Writes the set into a file, replacing one that is there when all is written.
   *
   * @throws IOException if it cannot be written
   */
  public void save(Path file) throws IOException {
    byte[] utf8 = name.getBytes(StandardCharsets.UTF_8);
    long size = 8L + utf8.length;
    for (Row row : rows) {
      size += 16 + 4L * row.values().length;
    }
    ByteBuffer bytes = CheckedFile.begin(MAGIC, size);
    bytes.putInt(utf8.length).putInt(rows.size()).put(utf8);
    for (Row row : rows) {
      bytes.putInt(row.layerId()).putLong(row.rowId()).putInt(row.values().length);
      for (float value : row.values()) {
        bytes.putFloat(value);
      }
    }
    CheckedFile.write(file, bytes);
  }

  /**
   * Reads a set from a file.
   *
   * @throws IOException if it cannot be read, is no row set, or is damaged
   */
  public static RowSet load(Path file) throws IOException {
    ByteBuffer bytes = CheckedFile.read(file, MAGIC, 8, "row set");
    int nameLength = bytes.getInt();
    int count = bytes.getInt();
    if (nameLength < 1 || nameLength > MOST_NAME || nameLength > bytes.remaining() || count < 0) {
      throw new IOException(file + " has an impossible header");
    }
    byte[] utf8 = new byte[nameLength];
    bytes.get(utf8);
    List<Row> rows = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      if (bytes.remaining() < 16) {
        throw new EOFException(file + " ends before its row " + i);
      }
      int layer = bytes.getInt();
      long id = bytes.getLong();
      int size = bytes.getInt();
      if (size < 1 || size > bytes.remaining() / 4) {
        throw new EOFException(file + " ends within its row " + i);
      }
      float[] values = new float[size];
      for (int k = 0; k < size; k++) {
        values[k] = bytes.getFloat();
      }
      rows.add(new Row(layer, id, values));
    }
    try {
      return new RowSet(new String(utf8, StandardCharsets.UTF_8), rows);
    } catch (IllegalArgumentException e) {
      throw new IOException(file + ": " + e.getMessage(), e);
    }
  }
}
