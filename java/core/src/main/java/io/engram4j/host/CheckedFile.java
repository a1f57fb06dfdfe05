package io.engram4j.host;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.zip.CRC32C;
import org.jspecify.annotations.Nullable;

/**
 * The small files of this project's own: eight characters that tell kind and version, what the file
 * holds, little-endian, and a CRC-32C of both. A file is written beside its place, synced and
 * renamed, so a reader sees the old file or the whole new one, even after a crash.
 */
public final class CheckedFile {
  private static final int MAGIC = 8;
  private static final int CHECKSUM = 4;
  private static final long MOST_BYTES = 1L << 30; // one array holds it

  private CheckedFile() {}

  /**
   * Begins a file.
   *
   * @param magic eight ASCII characters
   * @param size bytes that the file will hold between magic and checksum
   * @throws IllegalArgumentException if that is more than an array can hold
   */
  public static ByteBuffer begin(String magic, long size) {
    if (size > MOST_BYTES) {
      throw new IllegalArgumentException(
          "a file " + magic + " holds at most " + MOST_BYTES + " bytes, not " + size);
    }
    ByteBuffer bytes = ByteBuffer.allocate(Math.toIntExact(MAGIC + size + CHECKSUM));
    return bytes.order(ByteOrder.LITTLE_ENDIAN).putLong(magic(magic));
  }

  /**
   * Ends a file with its checksum and writes it, replacing one that is there.
   *
   * @throws IOException if it cannot be written; then the old file stays, and nothing else is left
   */
  public static void write(Path file, ByteBuffer bytes) throws IOException {
    bytes.putInt(crc(bytes.slice(0, bytes.position()))).flip();
    Path target = target(file);
    Path temporary;
    try {
      temporary = RegularFiles.beside(target);
    } catch (IOException e) {
      throw new IOException(file + " cannot be written: " + e, e);
    }
    try {
      try (FileChannel channel = FileChannel.open(temporary, StandardOpenOption.WRITE)) {
        while (bytes.hasRemaining()) {
          channel.write(bytes);
        }
        channel.force(true);
      }
      moveInto(temporary, target);
    } finally {
      Files.deleteIfExists(temporary);
    }
  }

  private static Path target(Path file) throws IOException {
    Path target = file.toAbsolutePath().normalize();
    Path folder = target.getParent();
    if (folder == null || Files.isDirectory(target)) {
      throw new IOException(file + " is a directory, not a file");
    }
    if (!Files.isDirectory(folder)) {
      throw new IOException("the folder " + folder + " for " + file + " does not exist");
    }
    if (!Files.exists(target)) {
      return target;
    }
    Path real = target.toRealPath(); // a link stays one
    if (!Files.isRegularFile(real)) {
      throw new IOException(file + " is not a regular file");
    }
    return real;
  }

  /** Moves a synced file into place, durably. */
  public static void moveInto(Path temporary, Path target) throws IOException {
    Files.move(
        temporary, target, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    syncFolder(target.getParent());
  }

  /** Makes the move itself last; some systems cannot open a directory, and need not. */
  private static void syncFolder(@Nullable Path folder) {
    if (folder == null) {
      return;
    }
    try (FileChannel channel = FileChannel.open(folder, StandardOpenOption.READ)) {
      channel.force(true);
    } catch (IOException e) {
      return;
    }
  }

  /**
   * Reads what a file holds.
   *
   * @param least bytes that it must hold at least
   * @param kind what such a file is, for messages
   * @return positioned behind the magic, limited before the checksum
   * @throws IOException if it cannot be read, is of another kind or version, or is damaged
   */
  public static ByteBuffer read(Path file, String magic, int least, String kind)
      throws IOException {
    RegularFiles.require(file);
    long size = Files.size(file);
    if (size < MAGIC + least + CHECKSUM || size > MAGIC + MOST_BYTES + CHECKSUM) {
      throw new IOException(file + " is not a " + kind + ": it has " + size + " bytes");
    }
    ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
    if (bytes.getLong(0) != magic(magic)) {
      throw new IOException(file + " is not a " + kind + ": it does not begin with " + magic);
    }
    int end = bytes.limit() - CHECKSUM;
    if (crc(bytes.slice(0, end)) != bytes.getInt(end)) {
      throw new IOException(file + " is damaged: its checksum does not match");
    }
    return bytes.position(MAGIC).limit(end);
  }

  /** Returns eight ASCII characters as the little-endian number that a file begins with. */
  public static long magic(String characters) {
    byte[] ascii = characters.getBytes(StandardCharsets.US_ASCII);
    if (ascii.length != MAGIC) {
      throw new IllegalArgumentException("a magic has 8 characters, not " + characters);
    }
    return ByteBuffer.wrap(ascii).order(ByteOrder.LITTLE_ENDIAN).getLong();
  }

  /** Returns the CRC-32C of what remains of a buffer, and moves it to its end. */
  public static int crc(ByteBuffer bytes) {
    CRC32C crc = new CRC32C();
    crc.update(bytes);
    return (int) crc.getValue();
  }
}
