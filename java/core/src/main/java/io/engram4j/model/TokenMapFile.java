package io.engram4j.model;

import io.engram4j.host.CheckedFile;
import io.engram4j.host.Digests;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Arrays;

/**
 * A token map on disk, so that a model can be served without its tokenizer: {@code ENGRMAP2}, the
 * number of raw ids n and of compressed ids (int32 each), the SHA-256 of the map as n 64-bit
 * integers, by which maps are published, then the map (n int32), and a {@link CheckedFile}'s
 * checksum.
 */
public final class TokenMapFile {
  /** The name under which a model directory's map file is looked for. */
  public static final String NAME = "engram-map.bin";

  /** What the file begins with. */
  static final String MAGIC = "ENGRMAP2";

  private static final int DIGEST = 32;
  private static final int HEADER = 8 + DIGEST;

  private TokenMapFile() {}

  /**
   * Writes the map, durably and at once: a reader sees the old file or the whole new one.
   *
   * @throws IOException if it cannot be written; then nothing is left behind
   */
  public static void save(TokenMap map, Path file) throws IOException {
    ByteBuffer bytes = CheckedFile.begin(MAGIC, HEADER + 4L * map.size());
    bytes.putInt(map.size()).putInt(map.distinct()).put(map.digest());
    for (int id = 0; id < map.size(); id++) {
      bytes.putInt(map.get(id));
    }
    CheckedFile.write(file, bytes);
  }

  /**
   * Reads a map file and checks it against the digest it carries.
   *
   * @throws IOException if it cannot be read, is not a map file, or is damaged
   */
  public static TokenMap load(Path file) throws IOException {
    ByteBuffer bytes = CheckedFile.read(file, MAGIC, HEADER, "token map");
    int count = bytes.getInt();
    int distinct = bytes.getInt();
    byte[] digest = new byte[DIGEST];
    bytes.get(digest);
    if (count < 0 || bytes.remaining() != 4L * count) {
      throw new IOException(
          file + " says " + count + " tokens but holds " + bytes.remaining() + " bytes of map");
    }
    int[] values = new int[count];
    bytes.asIntBuffer().get(values);
    TokenMap map;
    try {
      map = TokenMap.of(values);
    } catch (IllegalArgumentException e) {
      throw new IOException(file + " is not a token map: " + e.getMessage(), e);
    }
    if (!Arrays.equals(map.digest(), digest)) {
      throw new IOException(
          file
              + " is damaged: its map has SHA-256 "
              + map.sha256()
              + ", the file says "
              + Digests.hex(digest, DIGEST));
    }
    if (map.distinct() != distinct) {
      throw new IOException(
          file + " says " + distinct + " compressed ids but its map has " + map.distinct());
    }
    return map;
  }
}
