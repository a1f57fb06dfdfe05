package io.engram4j.valkey;

import io.engram4j.remote.Manifest.SlicedTable;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.zip.CRC32C;

/**
 * How rows lie in values: as many as a value of a mebibyte holds, each with a checksum behind it,
 * since the protocol has none. A checksum is CRC-32C of the row's bytes, exclusive or a hash of its
 * id, so that a row at another's place is seen too. Immutable.
 */
final class RowValues {
  /** A mebibyte with the header that the server puts before it: a size of its allocator. */
  private static final int MOST_BYTES = (1 << 20) - 64;

  private static final int CHECKSUM = 4;
  private static final VarHandle INT =
      MethodHandles.byteArrayViewVarHandle(int[].class, ByteOrder.LITTLE_ENDIAN);

  private final String prefix;
  private final SlicedTable table;
  private final int rowBytes;
  private final int rows;

  /**
   * Rows of a table.
   *
   * @param model as the address names it, empty for the only one
   * @param generation of the rows
   */
  RowValues(String model, String generation, SlicedTable table) {
    this.prefix = prefix(model) + generation.substring(0, 16) + ":" + table.layer() + ":";
    this.table = table;
    this.rowBytes = table.rowBytes();
    this.rows = Math.max(1, MOST_BYTES / stride());
  }

  private static String prefix(String model) {
    return model.isEmpty() ? "engram:" : "engram:" + model + ":";
  }

  /** Returns the key of the manifest that is served. */
  static byte[] manifestKey(String model) {
    return (prefix(model) + "manifest").getBytes(StandardCharsets.UTF_8);
  }

  /** Returns the bytes of a row with its checksum. */
  int stride() {
    return rowBytes + CHECKSUM;
  }

  /** Returns the bytes of a reply with one row: its length in decimal, and two ends of lines. */
  int replyBytes() {
    return 1 + Integer.toString(stride()).length() + 2 + stride() + 2;
  }

  /** Returns how many values the table takes. */
  long values() {
    return (table.rows() + rows - 1) / rows;
  }

  /** Returns the first row of a value. */
  long first(long value) {
    return value * rows;
  }

  /** Returns how many rows a value has. */
  int count(long value) {
    return (int) Math.min(rows, table.rows() - first(value));
  }

  byte[] key(long value) {
    return (prefix + value).getBytes(StandardCharsets.UTF_8);
  }

  /** Returns the value that has a row. */
  long valueOf(long row) {
    return row / rows;
  }

  /** Returns where in its value a row begins. */
  long offsetOf(long row) {
    return row % rows * stride();
  }

  /** Makes a value of rows. */
  byte[] value(long value, MemorySegment data) {
    int count = count(value);
    byte[] bytes = new byte[count * stride()];
    CRC32C crc = new CRC32C();
    for (int i = 0; i < count; i++) {
      int at = i * stride();
      MemorySegment.copy(data, ValueLayout.JAVA_BYTE, (long) i * rowBytes, bytes, at, rowBytes);
      INT.set(bytes, at + rowBytes, checksum(crc, bytes, at, first(value) + i));
    }
    return bytes;
  }

  private int checksum(CRC32C crc, byte[] bytes, int at, long row) {
    crc.reset();
    crc.update(bytes, at, rowBytes);
    long mixed = row * 0x9e3779b97f4a7c15L;
    return (int) crc.getValue() ^ (int) (mixed >>> 32);
  }

  /** Returns whether bytes are a row's, from {@code at} on. */
  boolean isRow(CRC32C crc, byte[] bytes, int at, long row) {
    int expected = checksum(crc, bytes, at, row);
    return (int) INT.get(bytes, at + rowBytes) == expected;
  }
}
