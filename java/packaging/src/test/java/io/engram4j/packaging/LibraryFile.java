package io.engram4j.packaging;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;

/** What the header of a native library says of it, whatever the platform. */
interface LibraryFile {
  /** Returns the CPU that its code is for, by the file format's own number. */
  int machine();

  /** Returns the functions that it offers. */
  Set<String> exports();

  /** Returns the libraries that it needs. */
  Set<String> needs();

  /** Reads the library of a platform. */
  static LibraryFile read(String platform, Path file) throws IOException {
    ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
    return platform.startsWith("linux")
        ? new Elf(bytes)
        : platform.startsWith("windows") ? new Pe(bytes) : new MachO(bytes);
  }

  /** Returns the text at a place, which a zero byte ends. */
  static String text(ByteBuffer bytes, long at) {
    StringBuilder text = new StringBuilder();
    for (int i = (int) at; bytes.get(i) != 0; i++) {
      text.append((char) bytes.get(i));
    }
    return text.toString();
  }
}
