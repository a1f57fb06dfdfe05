package io.engram4j.table;

import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/** Where the rows of a table are held while a model is open. */
public enum Placement {
  /** {@link #MAPPED} if the tables fit into the memory that is free, else {@link #STREAMED}. */
  AUTO,
  /** In the file, mapped: the system keeps in memory what is used, for all processes at once. */
  MAPPED,
  /** Copied into this process's memory, in huge pages where there are any. */
  RESIDENT,
  /** Copied once into memory that all processes of this machine share. */
  SHARED,
  /** As {@link #RESIDENT}, and locked, so that the system never swaps it out. */
  PINNED,
  /** In the file, read row by row past the page cache: for tables larger than memory. */
  STREAMED,
  /** On other machines, which {@link TableOptions#remote} names. */
  REMOTE;

  /** Returns those of rows that lie in files of this machine: all but {@link #REMOTE}. */
  public static List<Placement> ofFiles() {
    return Arrays.stream(values()).filter(placement -> placement != REMOTE).toList();
  }

  /** Returns whether all rows are read when a model is opened. */
  public boolean copies() {
    return this == RESIDENT || this == SHARED || this == PINNED;
  }

  /**
   * Returns the placement of a name such as {@code mapped}.
   *
   * @throws IllegalArgumentException if there is none
   */
  public static Placement named(String name) {
    for (Placement placement : values()) {
      if (placement.toString().equals(name)) {
        return placement;
      }
    }
    throw new IllegalArgumentException(
        "there is no placement " + name + "; there are " + Arrays.toString(values()));
  }

  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT);
  }
}
