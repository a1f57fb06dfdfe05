package io.engram4j.bridge;

import java.io.IOException;
import java.nio.BufferUnderflowException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import org.jspecify.annotations.Nullable;

/**
 * Looks at a Linux library before it is loaded: the dynamic linker maps what the program headers
 * promise, and a truncated file then kills the process with SIGBUS.
 */
final class ElfFile {
  private static final int MAGIC = 0x464c457f;

  private ElfFile() {}

  /** Returns why a file cannot be a whole library, or null if nothing speaks against it. */
  static @Nullable String problem(Path file) throws IOException {
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
      long size = channel.size();
      ByteBuffer header = read(channel, 0, 64);
      if (header.getInt(0) != MAGIC || header.get(4) != 2 || header.get(5) != 1) {
        return "it is no 64-bit little-endian ELF library";
      }
      long programs = header.getLong(32);
      long sections = header.getLong(40);
      int programBytes = Short.toUnsignedInt(header.getShort(54));
      int programCount = Short.toUnsignedInt(header.getShort(56));
      long sectionBytes =
          (long) Short.toUnsignedInt(header.getShort(58))
              * Short.toUnsignedInt(header.getShort(60));
      if (programBytes < 56 || beyond(sections, sectionBytes, size)) {
        return truncated(size, sections + sectionBytes);
      }
      for (int i = 0; i < programCount; i++) {
        ByteBuffer program = read(channel, programs + (long) i * programBytes, 56);
        long offset = program.getLong(8);
        long bytes = program.getLong(32);
        if (beyond(offset, bytes, size)) {
          return truncated(size, offset + bytes);
        }
      }
      return null;
    } catch (BufferUnderflowException | IllegalArgumentException e) {
      return "it is too short for a library";
    }
  }

  private static boolean beyond(long offset, long bytes, long size) {
    return offset < 0 || bytes < 0 || offset > size || bytes > size - offset;
  }

  private static String truncated(long size, long needed) {
    return "it is truncated: it has " + size + " bytes, but its headers tell of " + needed;
  }

  private static ByteBuffer read(FileChannel channel, long at, int count) throws IOException {
    ByteBuffer buffer = ByteBuffer.allocate(count).order(ByteOrder.LITTLE_ENDIAN);
    while (buffer.hasRemaining()) {
      if (channel.read(buffer, at + buffer.position()) < 0) {
        throw new BufferUnderflowException();
      }
    }
    return buffer;
  }
}
