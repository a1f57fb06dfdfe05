package io.engram4j.table;

import static java.nio.file.StandardOpenOption.CREATE;
import static java.nio.file.StandardOpenOption.TRUNCATE_EXISTING;
import static java.nio.file.StandardOpenOption.WRITE;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;

/** Files of seeds: eight bytes that tell their kind, what they hold, and a checksum of both. */
final class SeedFile {
  private SeedFile() {}

  /** Begins a file that will hold so many bytes. */
  static ByteBuffer begin(long magic, long size) {
    int whole = Math.toIntExact(8 + size + 4);
    return ByteBuffer.allocate(whole).order(ByteOrder.LITTLE_ENDIAN).putLong(magic);
  }

  /** Writes what was begun, replacing a file that is there when all is written. */
  static void write(Path file, ByteBuffer bytes) throws IOException {
    bytes.putInt(PackedFile.crc(bytes.slice(0, bytes.position())));
    Path part = file.resolveSibling(file.getFileName() + ".part");
    try (FileChannel channel = FileChannel.open(part, CREATE, WRITE, TRUNCATE_EXISTING)) {
      for (bytes.flip(); bytes.hasRemaining(); ) {
        channel.write(bytes);
      }
    }
    Files.move(part, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
  }

  /**
   * Reads what a file holds.
   *
   * @param least bytes it must hold
   * @param otherwise what a file of another kind is
   * @throws IOException if it cannot be read, is of another kind, or damaged
   */
  static ByteBuffer read(Path file, long magic, int least, String otherwise) throws IOException {
    ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
    int end = bytes.limit() - 4;
    if (end < 8 + least || bytes.getLong(0) != magic) {
      throw new IOException(file + " is " + otherwise);
    }
    if (PackedFile.crc(bytes.slice(0, end)) != bytes.getInt(end)) {
      throw new IOException(file + " is damaged, its checksum does not fit");
    }
    return bytes.position(8).limit(end);
  }
}
