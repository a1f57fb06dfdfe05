package io.engram4j.packaging;

import java.nio.ByteBuffer;
import java.util.Locale;
import java.util.Set;
import java.util.TreeSet;

/** A library of Windows. */
final class Pe implements LibraryFile {
  private static final int EXPORTS = 0;
  private static final int IMPORTS = 1;

  private final ByteBuffer bytes;
  private final int header; // of the file, behind its signature
  private final int optional; // the other header

  Pe(ByteBuffer bytes) {
    this.bytes = bytes;
    this.header = bytes.getInt(0x3c) + 4;
    this.optional = header + 20;
    if (bytes.getInt(header - 4) != 0x4550 || bytes.getShort(optional) != 0x20b) {
      throw new IllegalArgumentException("not a 64-bit PE file");
    }
  }

  @Override
  public int machine() {
    return bytes.getShort(header) & 0xffff;
  }

  /** Returns the flags of the DLL: where it may be loaded, whether data may run. */
  int flags() {
    return bytes.getShort(optional + 70);
  }

  /** Returns where in the file lies what will be at an address. */
  private int at(int address) {
    int sections = optional + bytes.getShort(header + 16);
    for (int i = 0; i < bytes.getShort(header + 2); i++) {
      int section = sections + 40 * i;
      int from = bytes.getInt(section + 12);
      if (address >= from && address < from + bytes.getInt(section + 8)) {
        return address - from + bytes.getInt(section + 20);
      }
    }
    throw new IllegalArgumentException("no section has the address " + address);
  }

  private int directory(int index) {
    return at(bytes.getInt(optional + 112 + 8 * index));
  }

  @Override
  public Set<String> exports() {
    Set<String> names = new TreeSet<>();
    int table = directory(EXPORTS);
    int addresses = at(bytes.getInt(table + 32));
    for (int i = 0; i < bytes.getInt(table + 24); i++) {
      names.add(LibraryFile.text(bytes, at(bytes.getInt(addresses + 4 * i))));
    }
    return names;
  }

  @Override
  public Set<String> needs() {
    Set<String> names = new TreeSet<>();
    for (int at = directory(IMPORTS); bytes.getInt(at + 12) != 0; at += 20) {
      String name = LibraryFile.text(bytes, at(bytes.getInt(at + 12)));
      names.add(name.toLowerCase(Locale.ROOT));
    }
    return names;
  }
}
