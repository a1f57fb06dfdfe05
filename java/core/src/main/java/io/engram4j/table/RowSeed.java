package io.engram4j.table;

import io.engram4j.host.CheckedFile;
import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Rows that are worth having in memory, per table, the most wanted first: counted over a corpus,
 * and read into the row cache of a streamed table when it is opened. Immutable.
 *
 * @param rows per table name, the row ids
 */
public record RowSeed(Map<String, long[]> rows) {
  private static final String MAGIC = "ENGRRSD1";

  public RowSeed {
    rows = Map.copyOf(rows);
  }

  /** Returns the rows of a table, none if there are none. */
  public long[] of(String table) {
    return rows.getOrDefault(table, new long[0]);
  }

  /**
   * Writes the seed into a file, replacing one that is there when all is written.
   *
   * @throws IOException if it cannot be written
   */
  public void save(Path file) throws IOException {
    long size = 4;
    for (Map.Entry<String, long[]> table : rows.entrySet()) {
      size += 8 + table.getKey().getBytes(StandardCharsets.UTF_8).length;
      size += 8L * table.getValue().length;
    }
    ByteBuffer bytes = CheckedFile.begin(MAGIC, size);
    bytes.putInt(rows.size());
    for (Map.Entry<String, long[]> table : rows.entrySet()) {
      byte[] name = table.getKey().getBytes(StandardCharsets.UTF_8);
      bytes.putInt(name.length).putInt(table.getValue().length).put(name);
      for (long row : table.getValue()) {
        bytes.putLong(row);
      }
    }
    CheckedFile.write(file, bytes);
  }

  /**
   * Reads a seed.
   *
   * @throws IOException if it cannot be read, is no seed, or is damaged
   */
  public static RowSeed load(Path file) throws IOException {
    ByteBuffer bytes = CheckedFile.read(file, MAGIC, 4, "seed of rows");
    Map<String, long[]> rows = new LinkedHashMap<>();
    for (int i = bytes.getInt(); i > 0; i--) {
      if (bytes.remaining() < 8) {
        throw new EOFException(file + " ends too early");
      }
      int nameLength = bytes.getInt();
      int count = bytes.getInt();
      if (nameLength < 0 || count < 0 || nameLength + 8L * count > bytes.remaining()) {
        throw new EOFException(file + " ends too early");
      }
      byte[] name = new byte[nameLength];
      bytes.get(name);
      long[] ids = new long[count];
      for (int k = 0; k < count; k++) {
        ids[k] = bytes.getLong();
      }
      rows.put(new String(name, StandardCharsets.UTF_8), ids);
    }
    return new RowSeed(rows);
  }
}
