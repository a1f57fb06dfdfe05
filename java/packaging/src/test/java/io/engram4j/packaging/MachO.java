package io.engram4j.packaging;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;

/** A library of macOS. */
final class MachO implements LibraryFile {
  private static final int SYMBOLS = 0x2;
  private static final int LOAD = 0xc;
  private static final int ID = 0xd;
  private static final int SIGNATURE = 0x1d;
  private static final int BUILD_VERSION = 0x32;
  private static final int EMBEDDED_SIGNATURE = 0xfade0cc0;
  private static final int CODE_DIRECTORY = 0xfade0c02;
  private static final int SHA_256 = 2;

  private final ByteBuffer bytes;

  MachO(ByteBuffer bytes) {
    if (bytes.getInt(0) != 0xfeedfacf || bytes.getInt(12) != 6) {
      throw new IllegalArgumentException("not a 64-bit library of macOS");
    }
    this.bytes = bytes;
  }

  @Override
  public int machine() {
    return bytes.getInt(4);
  }

  /** Returns where the commands of a kind are. */
  private List<Integer> commands(int kind) {
    List<Integer> found = new ArrayList<>();
    int at = 32;
    for (int i = 0; i < bytes.getInt(16); i++) {
      if (bytes.getInt(at) == kind) {
        found.add(at);
      }
      at += bytes.getInt(at + 4);
    }
    return found;
  }

  private String name(int command) {
    return LibraryFile.text(bytes, command + bytes.getInt(command + 8));
  }

  /** Returns by what name programs look for it. */
  String id() {
    return name(commands(ID).getFirst());
  }

  /** Returns the oldest version of macOS that takes it, such as 11.0. */
  String oldestSystem() {
    int version = bytes.getInt(commands(BUILD_VERSION).getFirst() + 12);
    return (version >> 16) + "." + (version >> 8 & 0xff);
  }

  /** Names begin with an underscore, as C's do there. */
  @Override
  public Set<String> exports() {
    Set<String> names = new TreeSet<>();
    int command = commands(SYMBOLS).getFirst();
    for (int i = 0; i < bytes.getInt(command + 12); i++) {
      int symbol = bytes.getInt(command + 8) + 16 * i;
      int type = bytes.get(symbol + 4);
      boolean external = (type & 1) != 0;
      boolean defined = (type & 0xe) == 0xe;
      if (external && defined) {
        String name = LibraryFile.text(bytes, bytes.getInt(command + 16) + bytes.getInt(symbol));
        names.add(name.substring(1));
      }
    }
    return names;
  }

  @Override
  public Set<String> needs() {
    Set<String> names = new TreeSet<>();
    commands(LOAD).forEach(command -> names.add(name(command)));
    return names;
  }

  /**
   * Checks the signature, without which Apple silicon kills whoever loads it: nobody's, but with
   * the digest of each page.
   *
   * @return the pages that it covers
   */
  int checkSignature() throws NoSuchAlgorithmException {
    int command = commands(SIGNATURE).getFirst();
    int start = bytes.getInt(command + 8);
    ByteBuffer all = bytes.duplicate().order(ByteOrder.BIG_ENDIAN);
    require(all.getInt(start) == EMBEDDED_SIGNATURE, "no signature");
    int directory = start + all.getInt(start + 16);
    require(all.getInt(directory) == CODE_DIRECTORY, "no digests");
    boolean adHoc = (all.getInt(directory + 12) & 2) != 0;
    require(adHoc, "the signature is not ad hoc");
    int digests = directory + all.getInt(directory + 16);
    int pages = all.getInt(directory + 28);
    int limit = all.getInt(directory + 32);
    int size = all.get(directory + 36);
    require(all.get(directory + 37) == SHA_256 && size == 32, "another digest");
    require(limit == start, "signed up to " + limit + " of " + start);
    int page = 1 << all.get(directory + 39);
    require(pages == (limit + page - 1) / page, pages + " pages");
    for (int i = 0; i < pages; i++) {
      MessageDigest digest = MessageDigest.getInstance("SHA-256");
      digest.update(bytes.slice(i * page, Math.min(page, limit - i * page)));
      byte[] signed = new byte[size];
      bytes.get(digests + i * size, signed);
      require(Arrays.equals(signed, digest.digest()), "page " + i + " is not what was signed");
    }
    return pages;
  }

  private static void require(boolean holds, String message) {
    if (!holds) {
      throw new IllegalStateException(message);
    }
  }
}
