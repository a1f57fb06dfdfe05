package io.engram4j.map;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.Objects;

/**
 * A token map on disk, so that a model can be served without its tokenizer. All little-endian:
 *
 * <pre>
 *   8 bytes   "ENGRMAP1"
 *   4         number of raw ids n
 *   4         number of compressed ids
 *   32        SHA-256 of the map as n 64-bit integers, the digest by which maps are published
 *   4 n       the map
 * </pre>
 */
public final class TokenMapFile {
  /** The name under which a model directory's map file is looked for. */
  public static final String NAME = "engram-map.bin";

  private static final byte[] MAGIC = "ENGRMAP1".getBytes(StandardCharsets.US_ASCII);
  private static final int HEADER = 48;
  private static final int MAX_IDS = 1 << 27; // what an array of 64-bit digests can hold

  private TokenMapFile() {}

  /**
   * Writes the map, durably and at once: a reader sees the old file or the whole new one.
   *
   * @throws IOException if it cannot be written; then nothing is left behind
   */
  public static void save(TokenMap map, Path file) throws IOException {
    ByteBuffer bytes =
        ByteBuffer.allocate(Math.addExact(HEADER, Math.multiplyExact(4, map.size())))
            .order(ByteOrder.LITTLE_ENDIAN);
    bytes.put(MAGIC).putInt(map.size()).putInt(map.distinct());
    bytes.put(HexFormat.of().parseHex(map.sha256()));
    for (int value : map.toArray()) {
      bytes.putInt(value);
    }
    bytes.flip();
    Path target = file.toAbsolutePath().normalize();
    Path folder = target.getParent();
    if (folder == null || Files.isDirectory(target)) {
      throw new IOException(file + " is a directory; a map is a file");
    }
    if (!Files.isDirectory(folder)) {
      throw new IOException("the folder " + folder + " for the map does not exist");
    }
    if (Files.exists(target)) {
      target = target.toRealPath(); // a link stays one
      if (!Files.isRegularFile(target)) {
        throw new IOException(file + " is not a regular file");
      }
      folder = Objects.requireNonNull(target.getParent());
    }
    Path temporary = temporary(file, folder);
    try {
      try (FileChannel channel =
          FileChannel.open(
              temporary,
              StandardOpenOption.CREATE,
              StandardOpenOption.TRUNCATE_EXISTING,
              StandardOpenOption.WRITE)) {
        while (bytes.hasRemaining()) {
          channel.write(bytes);
        }
        channel.force(true);
      }
      Files.move(
          temporary, target, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    } finally {
      Files.deleteIfExists(temporary);
    }
  }

  private static Path temporary(Path file, Path folder) throws IOException {
    try {
      return Files.createTempFile(folder, "engram-map", ".tmp");
    } catch (IOException e) {
      throw new IOException(file + " cannot be written: " + e, e);
    }
  }

  /**
   * Reads a map file and checks it against the digest it carries.
   *
   * @throws IOException if it cannot be read, is not a map file, or its digest does not match
   */
  public static TokenMap load(Path file) throws IOException {
    if (!Files.isRegularFile(file)) {
      throw new IOException(file + " is not a file");
    }
    long size = Files.size(file);
    if (size < HEADER || size > HEADER + 4L * MAX_IDS) {
      throw new IOException(file + " is not a token map: it has " + size + " bytes");
    }
    ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
    byte[] magic = new byte[MAGIC.length];
    bytes.get(magic);
    if (!Arrays.equals(magic, MAGIC)) {
      throw new IOException(file + " is not a token map: it does not begin with ENGRMAP1");
    }
    int count = bytes.getInt();
    int distinct = bytes.getInt();
    byte[] digest = new byte[32];
    bytes.get(digest);
    if (count < 0 || bytes.remaining() != 4L * count) {
      throw new IOException(
          file + " says " + count + " tokens but holds " + bytes.remaining() + " bytes of map");
    }
    int[] values = new int[count];
    bytes.asIntBuffer().get(values);
    return checked(file, values, distinct, HexFormat.of().formatHex(digest));
  }

  private static TokenMap checked(Path file, int[] values, int distinct, String digest)
      throws IOException {
    TokenMap map;
    try {
      map = TokenMap.of(values);
    } catch (IllegalArgumentException e) {
      throw new IOException(file + " is not a token map: " + e.getMessage(), e);
    }
    if (!map.sha256().equals(digest)) {
      throw new IOException(
          file + " is damaged: its map has SHA-256 " + map.sha256() + ", the file says " + digest);
    }
    if (map.distinct() != distinct) {
      throw new IOException(
          file + " says " + distinct + " compressed ids but its map has " + map.distinct());
    }
    return map;
  }
}
