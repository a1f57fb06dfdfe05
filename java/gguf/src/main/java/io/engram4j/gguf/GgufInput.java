package io.engram4j.gguf;

import java.io.Closeable;
import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/**
 * Reads a file from its start, forward. Nothing is allocated that the bytes left could not fill, so
 * that a length that lies costs nothing.
 */
final class GgufInput implements Closeable {
  private final Path file;
  private final FileChannel channel;
  private final long size;
  private final ByteBuffer buffer = ByteBuffer.allocate(1 << 16).order(ByteOrder.LITTLE_ENDIAN);
  private long at; // of the byte behind the buffer

  GgufInput(Path file) throws IOException {
    this.file = file;
    if (!Files.isRegularFile(file)) { // a pipe would be waited on
      throw new IOException(
          file + (Files.exists(file) ? " is not a regular file" : " does not exist"));
    }
    this.channel = FileChannel.open(file, StandardOpenOption.READ);
    boolean sized = false;
    try {
      this.size = channel.size();
      sized = true;
    } finally {
      if (!sized) {
        channel.close();
      }
    }
    buffer.limit(0);
  }

  long size() {
    return size;
  }

  long position() {
    return at - buffer.remaining();
  }

  long left() {
    return size - position();
  }

  /** Goes on at a position; forward or back. */
  void seek(long position) {
    long start = at - buffer.limit();
    if (position >= start && position <= at) {
      buffer.position((int) (position - start));
    } else {
      at = position;
      buffer.limit(0);
    }
  }

  /**
   * Passes over bytes.
   *
   * @throws EOFException if there are not so many
   */
  void skip(long bytes, String what) throws IOException {
    require(bytes, what);
    seek(position() + bytes);
  }

  /** Checks that so many bytes are left; a number that is negative as a long is far more. */
  void require(long bytes, String what) throws EOFException {
    if (bytes < 0 || bytes > left()) {
      throw new EOFException(
          file
              + ": "
              + what
              + " takes "
              + Long.toUnsignedString(bytes)
              + " bytes, but only "
              + left()
              + " are left");
    }
  }

  private ByteBuffer have(int bytes, String what) throws IOException {
    require(bytes, what);
    if (buffer.remaining() < bytes) {
      buffer.compact();
      while (buffer.position() < bytes) {
        int got = channel.read(buffer, at);
        if (got < 0) {
          throw new EOFException(file + " became shorter while it was read");
        }
        at += got;
      }
      buffer.flip();
    }
    return buffer;
  }

  int u8(String what) throws IOException {
    return have(1, what).get() & 0xff;
  }

  int u16(String what) throws IOException {
    return have(2, what).getShort() & 0xffff;
  }

  int i32(String what) throws IOException {
    return have(4, what).getInt();
  }

  long u32(String what) throws IOException {
    return i32(what) & 0xffffffffL;
  }

  /** A number of 64 bits; those beyond 2^63 come negative. */
  long u64(String what) throws IOException {
    return have(8, what).getLong();
  }

  /** Bytes with their number before them. */
  byte[] bytes(int most, String what) throws IOException {
    long length = u64(what);
    require(length, what);
    if (length > most) {
      throw new IOException(file + ": " + what + " has " + length + " bytes, at most " + most);
    }
    byte[] bytes = new byte[(int) length];
    for (int done = 0; done < bytes.length; ) {
      int some = Math.min(bytes.length - done, 1 << 12);
      have(some, what).get(bytes, done, some);
      done += some;
    }
    return bytes;
  }

  String text(int most, String what) throws IOException {
    return new String(bytes(most, what), StandardCharsets.UTF_8);
  }

  @Override
  public void close() throws IOException {
    channel.close();
  }
}
