package io.engram4j.table;

import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
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
  private static final long MAGIC = 0x315645534d524745L; // "EGRMSEV1"
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
    long size = 16L + utf8.length + 4;
    for (Row row : rows) {
      size += 16 + 4L * row.values().length;
    }
    ByteBuffer bytes = ByteBuffer.allocate(Math.toIntExact(size)).order(ByteOrder.LITTLE_ENDIAN);
    bytes.putLong(MAGIC).putInt(utf8.length).putInt(rows.size()).put(utf8);
    for (Row row : rows) {
      bytes.putInt(row.layerId()).putLong(row.rowId()).putInt(row.values().length);
      for (float value : row.values()) {
        bytes.putFloat(value);
      }
    }
    bytes.putInt(PackedFile.crc(bytes.slice(0, bytes.position()))).flip();
    Path part = file.resolveSibling(file.getFileName() + ".part");
    try (FileChannel channel =
        FileChannel.open(
            part,
            StandardOpenOption.CREATE,
            StandardOpenOption.TRUNCATE_EXISTING,
            StandardOpenOption.WRITE)) {
      while (bytes.hasRemaining()) {
        channel.write(bytes);
      }
      channel.force(true);
    }
    Files.move(part, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
  }

  /**
   * Reads a set from a file.
   *
   * @throws IOException if it cannot be read, is no row set, or is damaged
   */
  public static RowSet load(Path file) throws IOException {
    ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
    int end = bytes.limit() - 4;
    if (end < 16 || bytes.getLong(0) != MAGIC) {
      throw new IOException(file + " is no row set");
    }
    if (PackedFile.crc(bytes.slice(0, end)) != bytes.getInt(end)) {
      throw new IOException(file + " is damaged, its checksum does not fit");
    }
    int nameLength = bytes.getInt(8);
    int count = bytes.getInt(12);
    if (nameLength < 1 || nameLength > MOST_NAME || nameLength > end - 16 || count < 0) {
      throw new IOException(file + " has an impossible header");
    }
    byte[] utf8 = new byte[nameLength];
    bytes.get(16, utf8).position(16 + nameLength);
    List<Row> rows = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      if (end - bytes.position() < 16) {
        throw new EOFException(file + " ends before its row " + i);
      }
      int layer = bytes.getInt();
      long id = bytes.getLong();
      int size = bytes.getInt();
      if (size < 1 || size > (end - bytes.position()) / 4) {
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
