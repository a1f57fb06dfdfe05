package io.engram4j.table.io;

import io.engram4j.host.CheckedFile;
import io.engram4j.host.Digests;
import io.engram4j.host.Printable;
import io.engram4j.host.RegularFiles;
import io.engram4j.table.RowType;
import io.engram4j.work.Parallel;
import java.io.EOFException;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.function.LongConsumer;

/**
 * A file of interleaved rows: one read or one page for a row instead of two. A page of header, the
 * rows from byte {@value #DATA} on without gaps, then on a page of its own a CRC-32C per chunk of
 * rows. Little-endian; docs/tables.md has the layout. Immutable.
 */
public final class PackedFile {
  /** First byte of the rows: a page, so that chunks begin at pages. */
  static final long DATA = 4096;

  private static final long MAGIC = CheckedFile.magic("ENGRROW1");
  private static final int VERSION = 2;
  private static final int CHUNK = 4 << 20;
  private static final int NAME = 72;
  private static final int MOST_NAME = 1024;
  private static final int ORIGIN = 2048;
  private static final int DIGEST = 32;
  private static final int ZERO_FACTOR = 1 << 31; // the bits of -0

  private final TableFile table;
  private final int chunkRows;
  private final int[] checksums;
  private final Origin origin;

  private PackedFile(TableFile table, int chunkRows, int[] checksums, Origin origin) {
    this.table = table;
    this.chunkRows = chunkRows;
    this.checksums = checksums;
    this.origin = origin;
  }

  /**
   * What rows were packed from.
   *
   * @param fingerprint that of the table ({@link TableFile#fingerprint}), in hex
   * @param packing names the tables and weights that were packed together, in hex
   */
  public record Origin(String fingerprint, String packing) {
    public Origin {
      if (fingerprint.length() != 2 * DIGEST || packing.length() != 2 * DIGEST) {
        throw new IllegalArgumentException("two digests of 32 bytes, not " + fingerprint);
      }
    }

    /** A table on its own. */
    public static Origin of(TableFile table) throws IOException {
      String own = HexFormat.of().formatHex(table.fingerprint());
      return new Origin(own, own);
    }

    private byte[] bytes() {
      return HexFormat.of().parseHex(fingerprint + packing);
    }
  }

  /** Returns rows per chunk, so many that a chunk is whole pages, and 4 MiB if pages allow. */
  static int chunkRows(int rowBytes) {
    int unit = 4096 / Integer.lowestOneBit(rowBytes | 4096);
    return unit * Math.max(1, CHUNK / unit / rowBytes);
  }

  static long chunks(long rows, int chunkRows) {
    return (rows + chunkRows - 1) / chunkRows;
  }

  /** Returns where the checksums begin, on a page of their own. */
  static long checksumsAt(long rows, int rowBytes) {
    return (DATA + rows * rowBytes + 4095) / 4096 * 4096;
  }

  /** Returns the whole file's size. */
  static long size(long rows, int rowBytes) {
    return checksumsAt(rows, rowBytes) + 4 * chunks(rows, chunkRows(rowBytes));
  }

  static ByteBuffer header(TableFile table, int[] checksums, Origin origin) {
    byte[] name = table.name().getBytes(StandardCharsets.UTF_8);
    int length = Math.min(name.length, MOST_NAME);
    ByteBuffer header = ByteBuffer.allocate((int) DATA).order(ByteOrder.LITTLE_ENDIAN);
    header.putLong(0, MAGIC).putInt(8, VERSION).putInt(12, table.type().code());
    header.putLong(16, table.rows()).putInt(24, table.headDim()).putInt(28, table.rowBytes());
    header.putLong(32, DATA).putLong(40, checksumsAt(table.rows(), table.rowBytes()));
    header.putInt(48, chunkRows(table.rowBytes())).putInt(52, checksums.length);
    header.putInt(56, CheckedFile.crc(checksumBytes(checksums)));
    header.putInt(60, factorBits(table.factor()));
    header.putInt(64, length).put(NAME, name, 0, length).put(ORIGIN, origin.bytes());
    return header.putInt((int) DATA - 4, CheckedFile.crc(header.slice(0, (int) DATA - 4)));
  }

  /** Returns the scale of the whole table: 0 for 1, as in all files before there were others. */
  private static int factorBits(float factor) {
    return factor == 1 ? 0 : factor == 0 ? ZERO_FACTOR : Float.floatToRawIntBits(factor);
  }

  private static float factor(int bits) {
    return bits == 0 ? 1 : bits == ZERO_FACTOR ? 0 : Float.intBitsToFloat(bits);
  }

  static ByteBuffer checksumBytes(int[] checksums) {
    ByteBuffer bytes = ByteBuffer.allocate(4 * checksums.length).order(ByteOrder.LITTLE_ENDIAN);
    bytes.asIntBuffer().put(checksums);
    return bytes;
  }

  /**
   * Reads header and checksums.
   *
   * @throws IOException if this is no packed file, one of another version, damaged in its header,
   *     or cut short
   */
  public static PackedFile open(Path path) throws IOException {
    try (FileChannel channel = RegularFiles.read(path)) {
      if (channel.size() < DATA) {
        throw new IOException(path + " has " + channel.size() + " bytes, too few for a header");
      }
      ByteBuffer header = read(channel, path, 0, (int) DATA);
      if (header.getLong(0) != MAGIC) {
        throw new IOException(path + " is no file of packed rows");
      }
      if (header.getInt(8) != VERSION) {
        throw new IOException(
            path + " has version " + header.getInt(8) + ", but this reads version " + VERSION);
      }
      if (header.getInt((int) DATA - 4) != CheckedFile.crc(header.slice(0, (int) DATA - 4))) {
        throw new IOException(path + ": the header is damaged, its checksum does not fit");
      }
      return read(path, channel, header);
    }
  }

  private static PackedFile read(Path path, FileChannel channel, ByteBuffer header)
      throws IOException {
    RowType type = RowType.ofCode(header.getInt(12));
    long rows = header.getLong(16);
    int headDim = header.getInt(24);
    int rowBytes = header.getInt(28);
    int length = header.getInt(64);
    if (type == null || headDim < 1 || length < 0 || length > MOST_NAME) {
      throw new IOException(path + " has an impossible header");
    }
    boolean fits =
        rows >= 1
            && rowBytes == type.rowBytes(headDim)
            && rows <= (Long.MAX_VALUE >> 2) / rowBytes
            && header.getLong(32) == DATA
            && header.getLong(40) == checksumsAt(rows, rowBytes)
            && header.getInt(48) == chunkRows(rowBytes)
            && header.getInt(52) == chunks(rows, chunkRows(rowBytes));
    if (!fits) {
      throw new IOException(path + " has an impossible header");
    }
    if (channel.size() != size(rows, rowBytes)) {
      throw new IOException(
          path + " has " + channel.size() + " bytes, but its rows take " + size(rows, rowBytes));
    }
    byte[] name = new byte[length];
    header.get(NAME, name);
    int[] checksums = new int[header.getInt(52)];
    ByteBuffer bytes = read(channel, path, header.getLong(40), 4 * checksums.length);
    if (CheckedFile.crc(bytes.duplicate()) != header.getInt(56)) {
      throw new IOException(path + ": the checksums are damaged");
    }
    bytes.asIntBuffer().get(checksums);
    int factor = header.getInt(60);
    if (factor != 0 && !type.hasFactor()) {
      throw new IOException(path + " has an impossible header");
    }
    TableFile table =
        TableFile.interleaved(
            Printable.of(new String(name, StandardCharsets.UTF_8)),
            type,
            rows,
            headDim,
            factor(factor),
            path,
            DATA);
    byte[] origin = new byte[2 * DIGEST];
    header.get(ORIGIN, origin);
    String own = HexFormat.of().formatHex(origin, 0, DIGEST);
    String all = HexFormat.of().formatHex(origin, DIGEST, 2 * DIGEST);
    return new PackedFile(table, chunkRows(rowBytes), checksums, new Origin(own, all));
  }

  private static ByteBuffer read(FileChannel channel, Path path, long at, int count)
      throws IOException {
    ByteBuffer buffer = ByteBuffer.allocate(count).order(ByteOrder.LITTLE_ENDIAN);
    while (buffer.hasRemaining()) {
      if (channel.read(buffer, at + buffer.position()) < 0) {
        throw new EOFException(path + " ends before byte " + (at + count));
      }
    }
    return buffer.flip();
  }

  /** Returns where the rows lie. */
  public TableFile table() {
    return table;
  }

  /** Returns what the rows were packed from. */
  public Origin origin() {
    return origin;
  }

  /**
   * Returns SHA-256 of the rows' type and number and of the checksums of their chunks, in hex:
   * equal for equal rows, wherever they lie.
   */
  public String digest() {
    return digest(table, checksums);
  }

  /** Returns the same of rows whose chunks' checksums are known. */
  public static String digest(TableFile table, int[] checksums) {
    MessageDigest digest = Digests.sha256();
    String shape = table.type().name() + " " + table.rows() + "x" + table.headDim();
    digest.update(shape.getBytes(StandardCharsets.US_ASCII));
    digest.update(checksumBytes(checksums));
    return HexFormat.of().formatHex(digest.digest());
  }

  /**
   * Returns the digest that a packed file of some rows would have, without writing one.
   *
   * @param threads how many read at once
   * @param progress hears of bytes read, from any thread
   * @throws IOException if the rows cannot be read
   */
  public static String digest(TableFile table, int threads, LongConsumer progress)
      throws IOException {
    int chunkRows = chunkRows(table.rowBytes());
    int[] checksums = new int[Math.toIntExact(chunks(table.rows(), chunkRows))];
    Parallel.run(
        "digest",
        threads,
        checksums.length,
        () ->
            new ChunkReader(table, chunkRows, progress) {
              @Override
              void read(long chunk, MemorySegment rows) {
                checksums[(int) chunk] = CheckedFile.crc(rows.asByteBuffer());
              }
            });
    return digest(table, checksums);
  }

  /** Returns the number of chunks, each with a checksum. */
  public int chunks() {
    return checksums.length;
  }

  int chunkRows() {
    return chunkRows;
  }

  /**
   * Checks a chunk's rows.
   *
   * @throws IOException if they are not those that were written
   */
  void check(long chunk, MemorySegment rows) throws IOException {
    if (CheckedFile.crc(rows.asByteBuffer()) != checksums[(int) chunk]) {
      long first = chunk * chunkRows;
      throw new IOException(
          table.weight().file()
              + ": rows "
              + first
              + " to "
              + (Math.min(table.rows(), first + chunkRows) - 1)
              + " are damaged, their checksum does not fit");
    }
  }

  /**
   * Reads all rows and compares them with the checksums.
   *
   * @param threads how many read at once
   * @param progress hears of bytes read, from any thread
   * @throws IOException naming the rows that are damaged, or why they cannot be read
   */
  public void verify(int threads, LongConsumer progress) throws IOException {
    Parallel.run(
        "verify",
        threads,
        checksums.length,
        () ->
            new ChunkReader(table, chunkRows, progress) {
              @Override
              void read(long chunk, MemorySegment rows) throws IOException {
                check(chunk, rows);
              }
            });
  }

  /** Reads chunks of rows, one after the other. */
  private abstract static class ChunkReader implements Parallel.Worker {
    private final Arena arena = Arena.ofConfined();
    private final TableFile table;
    private final int chunkRows;
    private final MemorySegment buffer;
    private final BulkReader reader;
    private final LongConsumer progress;

    ChunkReader(TableFile table, int chunkRows, LongConsumer progress) throws IOException {
      this.table = table;
      this.chunkRows = chunkRows;
      this.progress = progress;
      try {
        this.buffer = arena.allocate((long) chunkRows * table.rowBytes(), 4096);
        this.reader = new BulkReader(table, chunkRows);
      } catch (Throwable e) {
        arena.close();
        throw e;
      }
    }

    /** Takes a chunk's rows. */
    abstract void read(long chunk, MemorySegment rows) throws IOException;

    @Override
    public void part(long chunk) throws IOException {
      long first = chunk * chunkRows;
      int count = (int) Math.min(chunkRows, table.rows() - first);
      MemorySegment rows = buffer.asSlice(0, (long) count * table.rowBytes());
      reader.read(first, count, rows);
      read(chunk, rows);
      progress.accept(rows.byteSize());
    }

    @Override
    public void close() throws IOException {
      arena.close();
      reader.close();
    }
  }
}
