package io.engram4j.os;

import java.util.Locale;

/** AMX tiles, which Linux gives to a process that asks, for all its threads. */
public final class AmxTiles {
  private static final long ARCH_PRCTL = 158;
  private static final long ARCH_REQ_XCOMP_PERM = 0x1023;
  private static final long TILE_DATA = 18;

  private AmxTiles() {}

  /**
   * Asks. CPUs and systems without tiles refuse, as containers may; the kernels look themselves
   * whether there are any, and say why not.
   */
  public static void ask() {
    boolean linux = System.getProperty("os.name").toLowerCase(Locale.ROOT).startsWith("linux");
    if (linux && System.getProperty("os.arch").equals("amd64")) {
      try {
        long unused = Libc.system(ARCH_PRCTL, ARCH_REQ_XCOMP_PERM, TILE_DATA, 0, 0, 0, 0);
      } catch (LinkageError e) {
        // a C library without the functions of Libc: kernels run all the same, without tiles
      }
    }
  }
}
