package io.engram4j.packaging;

import java.nio.ByteBuffer;
import java.util.Set;
import java.util.TreeSet;

/** A library of Linux. */
final class Elf implements LibraryFile {
  private static final int DYNSYM = 11;
  private static final int DYNAMIC = 6;
  private static final int NEEDED = 1;

  private final ByteBuffer bytes;

  Elf(ByteBuffer bytes) {
    if (bytes.getInt(0) != 0x464c457f) {
      throw new IllegalArgumentException("not an ELF file");
    }
    this.bytes = bytes;
  }

  @Override
  public int machine() {
    return bytes.getShort(18);
  }

  /** Returns where the header of the section of a type is. */
  private int section(int type) {
    int count = bytes.getShort(60);
    for (int i = 0; i < count; i++) {
      int at = header(i);
      if (bytes.getInt(at + 4) == type) {
        return at;
      }
    }
    throw new IllegalArgumentException("no section of type " + type);
  }

  private int header(int section) {
    return (int) bytes.getLong(40) + section * bytes.getShort(58);
  }

  /** Returns where the texts are that a section's entries name. */
  private long texts(int section) {
    return bytes.getLong(header(bytes.getInt(section + 40)) + 24);
  }

  @Override
  public Set<String> exports() {
    Set<String> names = new TreeSet<>();
    int section = section(DYNSYM);
    long first = bytes.getLong(section + 24);
    for (long at = first; at < first + bytes.getLong(section + 32); at += 24) {
      boolean global = bytes.get((int) at + 4) >> 4 == 1;
      boolean defined = bytes.getShort((int) at + 6) != 0;
      if (global && defined) {
        names.add(LibraryFile.text(bytes, texts(section) + bytes.getInt((int) at)));
      }
    }
    return names;
  }

  @Override
  public Set<String> needs() {
    Set<String> names = new TreeSet<>();
    int section = section(DYNAMIC);
    long first = bytes.getLong(section + 24);
    for (long at = first; at < first + bytes.getLong(section + 32); at += 16) {
      if (bytes.getLong((int) at) == NEEDED) {
        names.add(LibraryFile.text(bytes, texts(section) + bytes.getLong((int) at + 8)));
      }
    }
    return names;
  }
}
